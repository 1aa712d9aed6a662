"""Surfaces and blit, keys read with get_pressed, a step every 120 ms by the clock; the window freezes at the end."""
import random
import pygame
from pygame.locals import *


class Snake:
    def __init__(self, parent):
        self.parent = parent
        self.block = pygame.Surface((25, 25))
        self.block.fill((250, 240, 100))
        self.x = [200, 175]
        self.y = [100, 100]
        self.direction = "right"

    def walk(self):
        for i in range(len(self.x) - 1, 0, -1):
            self.x[i] = self.x[i - 1]
            self.y[i] = self.y[i - 1]
        if self.direction == "left":
            self.x[0] -= 25
        if self.direction == "right":
            self.x[0] += 25
        if self.direction == "up":
            self.y[0] -= 25
        if self.direction == "down":
            self.y[0] += 25

    def grow(self):
        self.x.append(-100)
        self.y.append(-100)

    def draw(self):
        for i in range(len(self.x)):
            self.parent.blit(self.block, (self.x[i], self.y[i]))


class Game:
    def __init__(self):
        pygame.init()
        self.surface = pygame.display.set_mode((750, 500))
        self.snake = Snake(self.surface)
        self.apple = pygame.Surface((25, 25))
        self.apple.fill((230, 20, 20))
        self.move_apple()
        self.dead = False

    def move_apple(self):
        self.apple_x = random.randint(0, 29) * 25
        self.apple_y = random.randint(0, 19) * 25

    def update(self):
        self.snake.walk()
        if (self.snake.x[0], self.snake.y[0]) == (self.apple_x, self.apple_y):
            self.snake.grow()
            self.move_apple()
        if not (0 <= self.snake.x[0] < 750 and 0 <= self.snake.y[0] < 500):
            self.dead = True
        for i in range(2, len(self.snake.x)):
            if (self.snake.x[0], self.snake.y[0]) == (self.snake.x[i], self.snake.y[i]):
                self.dead = True

    def run(self):
        last = pygame.time.get_ticks()
        clock = pygame.time.Clock()
        running = True
        while running:
            for event in pygame.event.get():
                if event.type == QUIT:
                    running = False
            keys = pygame.key.get_pressed()
            if keys[K_LEFT] and self.snake.direction != "right":
                self.snake.direction = "left"
            elif keys[K_RIGHT] and self.snake.direction != "left":
                self.snake.direction = "right"
            elif keys[K_UP] and self.snake.direction != "down":
                self.snake.direction = "up"
            elif keys[K_DOWN] and self.snake.direction != "up":
                self.snake.direction = "down"
            now = pygame.time.get_ticks()
            if now - last > 120 and not self.dead:
                last = now
                self.update()
            self.surface.fill((110, 110, 5))
            self.surface.blit(self.apple, (self.apple_x, self.apple_y))
            self.snake.draw()
            pygame.display.flip()
            clock.tick(60)
        pygame.quit()


if __name__ == "__main__":
    game = Game()
    game.run()
