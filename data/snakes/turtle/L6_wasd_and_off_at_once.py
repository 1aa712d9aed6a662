import random
import turtle

CELL, HALF = 20, 240
TURNS = {"w": (0, 1), "a": (-1, 0), "s": (0, -1), "d": (1, 0)}

screen = turtle.Screen()
screen.setup(2 * HALF + 40, 2 * HALF + 40)
screen.bgcolor("midnight blue")
screen.tracer(0)

stamper = turtle.Turtle(shape="square", visible=False)
stamper.penup()


class Game:
    def __init__(self):
        self.begin((-1, 0))

    def begin(self, way):
        self.body = [(0, 0)]
        self.way = way
        self.place_fruit()

    def place_fruit(self):
        edge = HALF // CELL - 1
        self.fruit = (random.randint(-edge, edge), random.randint(-edge, edge))

    def turn(self, way):
        if len(self.body) == 1 or (way[0] + self.way[0], way[1] + self.way[1]) != (0, 0):
            self.way = way

    def step(self):
        if self.way != (0, 0):
            self.move()
        self.show()
        screen.ontimer(self.step, 90)

    def move(self):
        head = (self.body[0][0] + self.way[0], self.body[0][1] + self.way[1])
        if head in self.body or max(abs(head[0]), abs(head[1])) > HALF // CELL:
            self.begin((0, 0))  # and waits for a key
        else:
            self.body.insert(0, head)
            if head == self.fruit:
                self.place_fruit()
            else:
                self.body.pop()

    def show(self):
        stamper.clearstamps()
        for place, colour in [(self.fruit, "gold"), *((part, "pale green") for part in self.body)]:
            stamper.goto(place[0] * CELL, place[1] * CELL)
            stamper.color(colour)
            stamper.stamp()
        screen.update()


game = Game()
for key, way in TURNS.items():
    screen.onkeypress(lambda way=way: game.turn(way), key)
screen.listen()
game.step()
screen.mainloop()
