import curses
import random
from curses import KEY_DOWN, KEY_LEFT, KEY_RIGHT, KEY_UP


def new_food(height, width, snake):
    while True:
        spot = (random.randint(1, height - 2), random.randint(1, width - 2))
        if spot not in snake:
            return spot


Voici le programme :
def main(stdscr):
    curses.curs_set(0)
    curses.start_color()
    curses.init_pair(1, curses.COLOR_GREEN, curses.COLOR_BLACK)
    curses.init_pair(2, curses.COLOR_RED, curses.COLOR_BLACK)
    stdscr.nodelay(True)
    stdscr.timeout(120)
    height, width = stdscr.getmaxyx()
    snake = [(height // 2, width // 2 + i) for i in range(0, -3, -1)]
    direction = KEY_RIGHT
    food = new_food(height, width, snake)
    score = 0
    moves = {KEY_UP: (-1, 0), KEY_DOWN: (1, 0), KEY_LEFT: (0, -1), KEY_RIGHT: (0, 1)}
    opposite = {KEY_UP: KEY_DOWN, KEY_DOWN: KEY_UP, KEY_LEFT: KEY_RIGHT, KEY_RIGHT: KEY_LEFT}
    while True:
        key = stdscr.getch()
        if key in moves and key != opposite[direction]:
            direction = key
        dy, dx = moves[direction]
        head = (snake[0][0] + dy, snake[0][1] + dx)
        if head in snake or head[0] in (0, height - 1) or head[1] in (0, width - 1):
            break
        snake.insert(0, head)
        if head == food:
            score += 1
            food = new_food(height, width, snake)
        else:
            snake.pop()
        stdscr.erase()
        stdscr.border(0)
        stdscr.addstr(0, 2, f" Score: {score} ")
        stdscr.addch(food[0], food[1], "*", curses.color_pair(2))
        for y, x in snake:
            stdscr.addch(y, x, "#", curses.color_pair(1))
        stdscr.refresh()
    stdscr.nodelay(False)
    stdscr.timeout(-1)
    stdscr.addstr(height // 2, width // 2 - 5, "GAME OVER")
    stdscr.refresh()
    stdscr.getch()


curses.wrapper(main)
