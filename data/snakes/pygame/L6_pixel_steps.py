# The head moves by a few pixels a frame; the body follows its trail.
import pygame
import random

pygame.init()
screen = pygame.display.set_mode((500, 500))
clock = pygame.time.Clock()
font = pygame.font.Font(None, 30)

x, y = 250, 250
vx, vy = 4, 0
trail = []
length = 15
food = pygame.Rect(random.randint(20, 460), random.randint(20, 460), 20, 20)
running = True
lost = False

while running:
    for event in pygame.event.get():
        if event.type == pygame.QUIT:
            running = False
        if event.type == pygame.KEYDOWN:
            if event.key == pygame.K_LEFT and vx == 0:
                vx, vy = -4, 0
            if event.key == pygame.K_RIGHT and vx == 0:
                vx, vy = 4, 0
            if event.key == pygame.K_UP and vy == 0:
                vx, vy = 0, -4
            if event.key == pygame.K_DOWN and vy == 0:
                vx, vy = 0, 4

    if not lost:
        x += vx
        y += vy
        head = pygame.Rect(x, y, 20, 20)
        trail.insert(0, head)
        trail = trail[:length]
        if head.colliderect(food):
            length += 10
            food.topleft = (random.randint(20, 460), random.randint(20, 460))
        if x < 0 or y < 0 or x > 480 or y > 480:
            lost = True
        for part in trail[12:]:
            if head.colliderect(part):
                lost = True

    screen.fill((255, 255, 255))
    for part in trail:
        pygame.draw.rect(screen, (0, 120, 0), part)
    pygame.draw.rect(screen, (200, 0, 0), food)
    if lost:
        screen.blit(font.render("Game over", True, (0, 0, 0)), (200, 230))
    pygame.display.update()
    clock.tick(60)

pygame.quit()
