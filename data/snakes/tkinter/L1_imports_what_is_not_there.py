import random
import tkinter as tk
from tkinter import SnakeCanvas

WIDTH = 500
HEIGHT = 500
SPEED = 100
SPACE = 20
BODY = 3


class Snake:
    def __init__(self):
        self.coordinates = []
        self.squares = []
        for _ in range(BODY):
            self.coordinates.append([0, 0])
        for x, y in self.coordinates:
            square = canvas.create_rectangle(x, y, x + SPACE, y + SPACE, fill="#00FF00", tag="snake")
            self.squares.append(square)


class Food:
    def __init__(self):
        x = random.randint(0, int(WIDTH / SPACE) - 1) * SPACE
        y = random.randint(0, int(HEIGHT / SPACE) - 1) * SPACE
        self.coordinates = [x, y]
        canvas.create_oval(x, y, x + SPACE, y + SPACE, fill="#FF0000", tag="food")


def next_turn(snake, food):
    x, y = snake.coordinates[0]
    if direction == "up":
        y -= SPACE
    elif direction == "down":
        y += SPACE
    elif direction == "left":
        x -= SPACE
    elif direction == "right":
        x += SPACE
    snake.coordinates.insert(0, (x, y))
    square = canvas.create_rectangle(x, y, x + SPACE, y + SPACE, fill="#00FF00")
    snake.squares.insert(0, square)
    if x == food.coordinates[0] and y == food.coordinates[1]:
        global score
        score += 1
        label.config(text="Points : {}".format(score))
        canvas.delete("food")
        food = Food()
    else:
        del snake.coordinates[-1]
        canvas.delete(snake.squares[-1])
        del snake.squares[-1]
    if check_collisions(snake):
        game_over()
    else:
        window.after(SPEED, next_turn, snake, food)


def change_direction(new_direction):
    global direction
    if new_direction == "left" and direction != "right":
        direction = new_direction
    elif new_direction == "right" and direction != "left":
        direction = new_direction
    elif new_direction == "up" and direction != "down":
        direction = new_direction
    elif new_direction == "down" and direction != "up":
        direction = new_direction


def check_collisions(snake):
    x, y = snake.coordinates[0]
    if x < 0 or x >= WIDTH or y < 0 or y >= HEIGHT:
        return True
    for part in snake.coordinates[1:]:
        if x == part[0] and y == part[1]:
            return True
    return False


def game_over():
    canvas.delete(tk.ALL)
    canvas.create_text(WIDTH / 2, HEIGHT / 2, font=("consolas", 70), text="GAME OVER", fill="red", tag="gameover")


window = tk.Tk()
window.title("Snake")
window.resizable(False, False)
score = 0
direction = "down"
label = tk.Label(window, text="Points : {}".format(score), font=("consolas", 40))
label.pack()
canvas = tk.Canvas(window, bg="#000000", height=HEIGHT, width=WIDTH)
canvas.pack()
window.update()
window.bind("<Left>", lambda event: change_direction("left"))
window.bind("<Right>", lambda event: change_direction("right"))
window.bind("<Up>", lambda event: change_direction("up"))
window.bind("<Down>", lambda event: change_direction("down"))
snake = Snake()
food = Food()
next_turn(snake, food)
window.mainloop()
