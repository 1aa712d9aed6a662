"""A start screen, and a game-over screen that waits for a key with event.wait()."""
import random

import pygame

WIDTH, HEIGHT, SIZE = 640, 480, 16


def wait_for_key(screen, font, lines):
    screen.fill((0, 0, 40))
    for i, line in enumerate(lines):
        screen.blit(font.render(line, True, (255, 255, 255)), (120, 150 + 50 * i))
    pygame.display.flip()
    while True:
        event = pygame.event.wait()
        if event.type == pygame.QUIT:
            return False
        if event.type == pygame.KEYDOWN:
            if event.key in (pygame.K_SPACE, pygame.K_RETURN):
                return True
            if event.key == pygame.K_ESCAPE:
                return False


def random_cell(snake):
    free = [(x, y) for x in range(0, WIDTH, SIZE) for y in range(0, HEIGHT, SIZE) if (x, y) not in snake]
    return random.choice(free)


def play(screen, clock, font):
    snake = [(320, 240), (304, 240), (288, 240), (272, 240)]
    dx, dy = SIZE, 0
    food = random_cell(snake)
    while True:
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                return False
            if event.type == pygame.KEYDOWN:
                if event.key == pygame.K_UP and dy == 0:
                    dx, dy = 0, -SIZE
                elif event.key == pygame.K_DOWN and dy == 0:
                    dx, dy = 0, SIZE
                elif event.key == pygame.K_LEFT and dx == 0:
                    dx, dy = -SIZE, 0
                elif event.key == pygame.K_RIGHT and dx == 0:
                    dx, dy = SIZE, 0
        x, y = snake[0]
        new = (x + dx, y + dy)
        if not (0 <= new[0] < WIDTH and 0 <= new[1] < HEIGHT) or new in snake:
            return wait_for_key(screen, font, [f"Game Over! Score {len(snake) - 4}", "SPACE to play again"])
        snake.insert(0, new)
        if new == food:
            food = random_cell(snake)
        else:
            snake.pop()
        screen.fill((0, 0, 0))
        for i, cell in enumerate(snake):
            color = (255, 200, 0) if i == 0 else (0, 160, 255)
            pygame.draw.rect(screen, color, (*cell, SIZE - 1, SIZE - 1))
        pygame.draw.rect(screen, (255, 0, 90), (*food, SIZE, SIZE))
        pygame.display.flip()
        clock.tick(12)


def main():
    pygame.init()
    screen = pygame.display.set_mode((WIDTH, HEIGHT))
    clock = pygame.time.Clock()
    font = pygame.font.Font(None, 40)
    if wait_for_key(screen, font, ["SNAKE", "Press SPACE to start"]):
        while play(screen, clock, font):
            pass
    pygame.quit()


main()
