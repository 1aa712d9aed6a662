import curses
import random

TOP = 3
KEYS = {
    curses.KEY_UP: (-1, 0),
    curses.KEY_DOWN: (1, 0),
    curses.KEY_LEFT: (0, -1),
    curses.KEY_RIGHT: (0, 1),
}


def play(screen):
    curses.curs_set(0)
    curses.init_pair(1, curses.COLOR_BLACK, curses.COLOR_GREEN)
    curses.init_pair(2, curses.COLOR_BLACK, curses.COLOR_RED)
    curses.init_pair(3, curses.COLOR_CYAN, curses.COLOR_BLACK)
    lines, columns = screen.getmaxyx()
    rows = lines - TOP
    field = curses.newwin(rows, columns, TOP, 0)
    field.keypad(True)
    field.attrset(curses.color_pair(3))
    field.timeout(-1)
    screen.addstr(1, 2, "Any key begins")
    screen.refresh()
    field.getch()
    field.timeout(90)
    body = [(rows // 2, 12), (rows // 2, 11), (rows // 2, 10)]
    way = (0, 1)

    def fruit():
        while True:
            place = (random.randrange(1, rows - 1), random.randrange(1, columns - 1))
            if place not in body:
                field.addch(*place, " ", curses.color_pair(2))
                return place

    food = fruit()
    while True:
        new = KEYS.get(field.getch(), way)
        if (new[0] + way[0], new[1] + way[1]) != (0, 0):
            way = new
        head = (body[0][0] + way[0], body[0][1] + way[1])
        if head in body or not (0 < head[0] < rows - 1 and 0 < head[1] < columns - 1):
            break
        body.insert(0, head)
        if head == food:
            food = fruit()
        else:
            field.addch(*body.pop(), " ")
        for place in body:
            field.addch(*place, " ", curses.color_pair(1))
        field.border()
        field.refresh()
    field.clear()
    field.addstr(rows // 2, columns // 2 - 5, "GAME OVER")
    field.refresh()
    field.timeout(-1)
    field.getch()


curses.wrapper(play)
