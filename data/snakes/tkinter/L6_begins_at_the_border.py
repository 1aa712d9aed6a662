import random
import tkinter as tk

COLUMNS, ROWS, CELL = 24, 18, 20
WAYS = {"Up": (0, -1), "Down": (0, 1), "Left": (-1, 0), "Right": (1, 0)}

window = tk.Tk()
canvas = tk.Canvas(window, width=COLUMNS * CELL, height=ROWS * CELL, bg="#202020", highlightthickness=0)
canvas.pack()

snake = [(3, 0), (2, 0), (1, 0)]
way = WAYS["Right"]
wanted = way


def fresh_apple():
    free = [(x, y) for x in range(COLUMNS) for y in range(ROWS) if (x, y) not in snake]
    return random.choice(free)


apple = fresh_apple()


def pressed(event):
    global wanted
    new = WAYS.get(event.keysym)
    if new and (new[0] + way[0], new[1] + way[1]) != (0, 0):
        wanted = new


def square(place, colour):
    x, y = place[0] * CELL, place[1] * CELL
    canvas.create_rectangle(x + 1, y + 1, x + CELL - 1, y + CELL - 1, fill=colour, width=0)


def step():
    global way, apple
    way = wanted
    head = (snake[0][0] + way[0], snake[0][1] + way[1])
    if head in snake or not (0 <= head[0] < COLUMNS and 0 <= head[1] < ROWS):
        canvas.create_text(COLUMNS * CELL // 2, ROWS * CELL // 2, text=f"Perdu : {len(snake)}", fill="white")
        return
    snake.insert(0, head)
    if head == apple:
        apple = fresh_apple()
    else:
        snake.pop()
    canvas.delete("all")
    square(apple, "orange")
    for part in snake:
        square(part, "turquoise")
    window.after(110, step)


window.bind("<Key>", pressed)
step()
window.mainloop()
