import random
import sys

import pygame

CELL = 20
COLS, ROWS = 32, 24


class Snake:
    def __init__(self):
        self.body = [(5, 10), (4, 10), (3, 10)]
        self.direction = (1, 0)
        self.grow = False

    def turn(self, direction):
        if (direction[0] + self.direction[0], direction[1] + self.direction[1]) != (0, 0):
            self.direction = direction

    def move(self):
        head = (self.body[0][0] + self.direction[0], self.body[0][1] + self.direction[1])
        self.body.insert(0, head)
        if self.grow:
            self.grow = False
        else:
            self.body.pop()

    def hits(self):
        x, y = self.body[0]
        return not (0 <= x < COLS and 0 <= y < ROWS) or self.body[0] in self.body[1:]


class Food:
    def __init__(self, snake):
        self.place(snake)

    def place(self, snake):
        while True:
            self.position = (random.randint(0, COLS - 1), random.randint(0, ROWS - 1))
            if self.position not in snake.body:
                return


class Game:
    KEYS = {
        pygame.K_UP: (0, -1),
        pygame.K_DOWN: (0, 1),
        pygame.K_LEFT: (-1, 0),
        pygame.K_RIGHT: (1, 0),
    }

    def __init__(self):
        pygame.init()
        self.screen = pygame.display.set_mode((COLS * CELL, ROWS * CELL))
        self.clock = pygame.time.Clock()
        self.font = pygame.font.Font(None, 36)
        self.snake = Snake()
        self.food = Food(self.snake)
        self.score = 0

    def draw_cell(self, position, color):
        rect = pygame.Rect(position[0] * CELL + 1, position[1] * CELL + 1, CELL - 2, CELL - 2)
        pygame.draw.rect(self.screen, color, rect)

    def run(self):
        while True:
            for event in pygame.event.get():
                if event.type == pygame.QUIT:
                    pygame.quit()
                    sys.exit()
                if event.type == pygame.KEYDOWN and event.key in self.KEYS:
                    self.snake.turn(self.KEYS[event.key])
            self.snake.move()
            if self.snake.hits():
                pygame.quit()
                sys.exit()
            if self.snake.body[0] == self.food.position:
                self.snake.grows = True
                self.scores += 1
                self.food.place(self.snake)
            self.screen.fill((0, 0, 0))
            for i, part in enumerate(self.snake.body):
                self.draw_cell(part, (0, 255, 0) if i else (0, 180, 0))
            self.draw_cell(self.food.position, (255, 0, 0))
            self.screen.blit(self.font.render(f"Score: {self.score}", True, (255, 255, 255)), (10, 10))
            pygame.display.flip()
            self.clock.tick(10)


if __name__ == "__main__":
    Game().run()
