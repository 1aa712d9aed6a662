# Walls let through: only the snake's own body ends the game.
import pygame, random, sys

pygame.init()
TAILLE = 20
LARGEUR, HAUTEUR = 30, 20
fenetre = pygame.display.set_mode((LARGEUR * TAILLE, HAUTEUR * TAILLE))
pygame.display.set_caption("Serpent")
horloge = pygame.time.Clock()
police = pygame.font.SysFont(None, 48)

serpent = [[10, 10], [9, 10], [8, 10]]
direction = [1, 0]
pomme = [random.randrange(LARGEUR), random.randrange(HAUTEUR)]
score = 0

while True:
    for evenement in pygame.event.get():
        if evenement.type == pygame.QUIT:
            pygame.quit()
            sys.exit()
        elif evenement.type == pygame.KEYDOWN:
            if evenement.key == pygame.K_UP and direction != [0, 1]:
                direction = [0, -1]
            elif evenement.key == pygame.K_DOWN and direction != [0, -1]:
                direction = [0, 1]
            elif evenement.key == pygame.K_LEFT and direction != [1, 0]:
                direction = [-1, 0]
            elif evenement.key == pygame.K_RIGHT and direction != [-1, 0]:
                direction = [1, 0]

    tete = [(serpent[0][0] + direction[0]) % LARGEUR, (serpent[0][1] + direction[1]) % HAUTEUR]
    serpent.insert(0, tete)
    if tete == pomme:
        score += 1
        while pomme in serpent:
            pomme = [random.randrange(LARGEUR), random.randrange(HAUTEUR)]
    else:
        serpent.pop()

    fenetre.fill((20, 20, 20))
    pygame.draw.circle(fenetre, (220, 30, 30), (pomme[0] * TAILLE + 10, pomme[1] * TAILLE + 10), 9)
    for x, y in serpent:
        pygame.draw.rect(fenetre, (30, 200, 60), (x * TAILLE, y * TAILLE, TAILLE, TAILLE), border_radius=4)
    fenetre.blit(police.render(str(score), True, (255, 255, 0)), (5, 5))
    pygame.display.flip()
    horloge.tick(8)
