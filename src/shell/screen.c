/* screen.c - see screen.h. */
#include "shell/screen.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

size_t screen_columns(int fd)
{
    struct winsize size = {0};
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    const char *columns = getenv("COLUMNS");
    const long number = columns != NULL ? strtol(columns, NULL, 10) : 0;
    return number > 0 && number < 10000 ? (size_t)number : 80;
}

bool screen_is_capable(int fd)
{
    const char *term = getenv("TERM");
    return isatty(fd) && term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
}

bool screen_takes_colour(int fd)
{
    const char *no_colour = getenv("NO_COLOR");
    return screen_is_capable(fd) && (no_colour == NULL || no_colour[0] == '\0');
}

size_t screen_fit(loam_slice text, size_t columns, size_t *used)
{
    const char *bytes = text.data;
    size_t at = 0;
    mbstate_t state;
    memset(&state, 0, sizeof state);
    *used = 0;
    while (at < text.len) {
        wchar_t wide = 0;
        size_t len = mbrtowc(&wide, bytes + at, text.len - at, &state);
        int width = 1;
        if (len == 0 || len > text.len - at) {
            /* No character of this locale: it takes what one byte takes. */
            len = 1;
            memset(&state, 0, sizeof state);
        } else {
            width = wcwidth(wide);
        }
        const size_t taken = width > 0 ? (size_t)width : 0;
        if (taken > columns - *used) break;
        *used += taken;
        at += len;
    }
    return at;
}
