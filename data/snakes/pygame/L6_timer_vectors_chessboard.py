"""A timer event moves the snake, vectors hold it, a chessboard lies under it."""
import random
import sys

import pygame
from pygame.math import Vector2

CELL, NUMBER = 40, 15
SCREEN_UPDATE = pygame.USEREVENT


class Fruit:
    def __init__(self):
        self.randomize()

    def randomize(self):
        self.pos = Vector2(random.randint(0, NUMBER - 1), random.randint(0, NUMBER - 1))

    def draw(self):
        pygame.draw.rect(screen, (183, 21, 64), pygame.Rect(int(self.pos.x * CELL), int(self.pos.y * CELL), CELL, CELL))


class Snake:
    def __init__(self):
        self.reset()

    def reset(self):
        self.body = [Vector2(5, 10), Vector2(4, 10), Vector2(3, 10)]
        self.direction = Vector2(1, 0)
        self.new_block = False

    def draw(self):
        for block in self.body:
            pygame.draw.rect(screen, (30, 60, 200), pygame.Rect(int(block.x * CELL), int(block.y * CELL), CELL, CELL))

    def move(self):
        body = self.body[:] if self.new_block else self.body[:-1]
        body.insert(0, self.body[0] + self.direction)
        self.new_block = False
        self.body = body


class Main:
    def __init__(self):
        self.snake = Snake()
        self.fruit = Fruit()

    def update(self):
        self.snake.move()
        if self.fruit.pos == self.snake.body[0]:
            self.fruit.randomize()
            self.snake.new_block = True
        head = self.snake.body[0]
        if not 0 <= head.x < NUMBER or not 0 <= head.y < NUMBER or head in self.snake.body[1:]:
            self.snake.reset()

    def draw(self):
        for row in range(NUMBER):
            for column in range(NUMBER):
                color = (167, 209, 61) if (row + column) % 2 else (175, 215, 70)
                pygame.draw.rect(screen, color, pygame.Rect(column * CELL, row * CELL, CELL, CELL))
        self.fruit.draw()
        self.snake.draw()


pygame.init()
screen = pygame.display.set_mode((NUMBER * CELL, NUMBER * CELL))
clock = pygame.time.Clock()
pygame.time.set_timer(SCREEN_UPDATE, 150)
main_game = Main()

while True:
    for event in pygame.event.get():
        if event.type == pygame.QUIT:
            pygame.quit()
            sys.exit()
        if event.type == SCREEN_UPDATE:
            main_game.update()
        if event.type == pygame.KEYDOWN:
            if event.key == pygame.K_UP and main_game.snake.direction.y != 1:
                main_game.snake.direction = Vector2(0, -1)
            if event.key == pygame.K_RIGHT and main_game.snake.direction.x != -1:
                main_game.snake.direction = Vector2(1, 0)
            if event.key == pygame.K_DOWN and main_game.snake.direction.y != -1:
                main_game.snake.direction = Vector2(0, 1)
            if event.key == pygame.K_LEFT and main_game.snake.direction.x != 1:
                main_game.snake.direction = Vector2(-1, 0)
    main_game.draw()
    pygame.display.update()
    clock.tick(60)
