"""turtle with ontimer, a class, stamps, and a game over that is written on the screen."""
import random
from turtle import Screen, Turtle

STEP = 20
HEADINGS = {"Up": 90, "Down": 270, "Left": 180, "Right": 0}


class Game:
    def __init__(self):
        self.screen = Screen()
        self.screen.setup(500, 500)
        self.screen.bgcolor("black")
        self.screen.tracer(0)
        self.pen = Turtle("square")
        self.pen.penup()
        self.pen.color("lime")
        self.pen.hideturtle()
        self.apple = Turtle("circle")
        self.apple.penup()
        self.apple.color("red")
        self.words = Turtle(visible=False)
        self.words.color("white")
        self.words.penup()
        self.cells = [(0, 0), (-STEP, 0), (-2 * STEP, 0)]
        self.heading = 0
        self.place_apple()
        for key, heading in HEADINGS.items():
            self.screen.onkey(lambda h=heading: self.turn(h), key)
        self.screen.listen()

    def place_apple(self):
        self.apple.goto(random.randint(-11, 11) * STEP, random.randint(-11, 11) * STEP)

    def turn(self, heading):
        if (heading - self.heading) % 360 != 180:
            self.heading = heading

    def tick(self):
        x, y = self.cells[0]
        dx, dy = {0: (STEP, 0), 90: (0, STEP), 180: (-STEP, 0), 270: (0, -STEP)}[self.heading]
        head = (x + dx, y + dy)
        if head in self.cells or abs(head[0]) > 240 or abs(head[1]) > 240:
            self.words.write("GAME OVER", align="center", font=("Arial", 30, "bold"))
            self.screen.update()
            return
        self.cells.insert(0, head)
        if self.apple.distance(head) < 5:
            self.place_apple()
        else:
            self.cells.pop()
        self.pen.clearstamps()
        for cell in self.cells:
            self.pen.goto(cell)
            self.pen.stamp()
        self.screen.update()
        self.screen.ontimer(self.tick, 120)


game = Game()
game.tick()
game.screen.mainloop()
