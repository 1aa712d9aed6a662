"""What runs beside a program inside the sandbox: it plays the program's game and tells what it saw.

These files are carried into the sandbox and use the standard library alone: nothing of ``workbook`` is there. They
run in the program's own process, where a program that sets out to deceive can reach them: what they report is a
measurement of honest programs. ``calls`` only passes on what the program answers, which is judged outside.
"""
