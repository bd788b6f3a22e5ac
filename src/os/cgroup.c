/*
 * cgroup.c - how much memory the container lets this process have; see cgroup.h.
 */
#include "os/cgroup.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CGROUP_TEXT_BYTES = 4096 };

/* The beginning of a small file as text; empty when it cannot be read. */
static void read_text(const char *path, char *text, size_t bytes)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read(fd, text, bytes - 1);
    if (fd >= 0) close(fd);
    text[len < 0 ? 0 : len] = '\0';
}

static uint64_t read_limit(const char *dir, size_t dir_len, const char *group_file)
{
    char path[512], text[32];
    const int len = snprintf(path, sizeof path, "%.*s/%s", (int)dir_len, dir, group_file);
    if (len < 0 || (size_t)len >= sizeof path) return UINT64_MAX;
    read_text(path, text, sizeof text);
    /* "max" is version 2's word for none. */
    if (text[0] < '0' || text[0] > '9') return UINT64_MAX;
    return strtoull(text, NULL, 10);
}

/* The least limit of root/group and of all directories above it, down to root itself. Inside a
   container group may name a place that only the host sees; root then holds the limit. */
static uint64_t least_limit(const char *root, const char *group, const char *group_file)
{
    char dir[512];
    const int len = snprintf(dir, sizeof dir, "%s%s", root, group);
    if (len < 0 || (size_t)len >= sizeof dir) return UINT64_MAX;
    uint64_t least = UINT64_MAX;
    size_t dir_len = (size_t)len;
    for (;;) {
        const uint64_t limit = read_limit(dir, dir_len, group_file);
        if (limit < least) least = limit;
        if (dir_len <= strlen(root)) return least;
        while (dir[--dir_len] != '/')
            ;
    }
}

/* A line is "number:controllers:group"; version 2 names no controllers. */
static uint64_t limit_of_line(char *line)
{
    char *controllers = strchr(line, ':');
    if (controllers == NULL) return UINT64_MAX;
    *controllers++ = '\0';
    char *group = strchr(controllers, ':');
    if (group == NULL) return UINT64_MAX;
    *group++ = '\0';
    if (*group != '/') return UINT64_MAX;
    if (controllers[0] == '\0') return least_limit("/sys/fs/cgroup", group, "memory.max");
    if (strcmp(controllers, "memory") != 0) return UINT64_MAX;
    return least_limit("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
}

uint64_t cgroup_memory_bytes(void)
{
    char text[CGROUP_TEXT_BYTES];
    uint64_t least = UINT64_MAX;
    read_text("/proc/self/cgroup", text, sizeof text);
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        const uint64_t limit = limit_of_line(line);
        if (limit < least) least = limit;
    }
    return least;
}
