/* inspect_page.c - see inspect_page.h. The page stands in inspect_page.html, where it can be read. */
#include "shell/inspect_page.h"

__asm__(".section .rodata\n"
        ".global inspect_page\n"
        ".hidden inspect_page\n"
        "inspect_page: .incbin \"src/shell/inspect_page.html\"\n"
        ".byte 0\n"
        ".previous\n");
