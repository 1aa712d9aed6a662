import tkinter as tk
from collections import deque

WIDTH, HEIGHT, THICK = 480, 360, 12
WAYS = {"w": (0, -THICK), "a": (-THICK, 0), "s": (0, THICK), "d": (THICK, 0)}

window = tk.Tk()
canvas = tk.Canvas(window, width=WIDTH, height=HEIGHT, bg="white", highlightthickness=0)
canvas.pack()

trail = deque([(20 * THICK, 15 * THICK)])
way = WAYS["d"]


def dash(place, colour):
    x, y = place
    canvas.create_line(x, y + THICK / 2, x + THICK, y + THICK / 2, fill=colour, width=THICK)


def pressed(event):
    global way
    new = WAYS.get(event.keysym, way)
    if (new[0] + way[0], new[1] + way[1]) != (0, 0):
        way = new


def step():
    x, y = trail[-1][0] + way[0], trail[-1][1] + way[1]
    if (x, y) in trail or not (0 <= x < WIDTH and 0 <= y < HEIGHT):
        window.destroy()
        return
    if len(trail) == 8:
        dash(trail.popleft(), "#ffffff")
    trail.append((x, y))
    dash((x, y), "purple")
    window.after(40, step)


window.bind("<Key>", pressed)
step()
window.mainloop()
