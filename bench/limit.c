/* limit.c - see limit.h. */
#include "limit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/engine.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

enum { PATH_BYTES = 4096 };

static char own_group[PATH_BYTES - 256], trial_group[PATH_BYTES];
/* Version 2: a group that has processes cannot limit its children, so this process moves into one of them. */
static char driver_group[PATH_BYTES];
static bool is_version_2, has_handed_on, is_set_up;

static bool write_file(const char *group, const char *file, const char *text)
{
    char path[PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/%s", group, file);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) close(fd);
    return done;
}

static bool is_there(const char *file)
{
    char path[PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/%s", own_group, file);
    return access(path, F_OK) == 0;
}

/* The group at path, or, as in a container that is shown no more than its own, the root of what is mounted. */
static bool is_own_group(const char *mount, const char *path, const char *file)
{
    snprintf(own_group, sizeof own_group, "%s%s", mount, path);
    if (is_there(file)) return true;
    snprintf(own_group, sizeof own_group, "%s", mount);
    return is_there(file);
}

/* Of the version that limits memory here: the first has a hierarchy for it, which the second then has not. */
static bool find_own_group(void)
{
    char line[2048];
    bool found = false;
    FILE *file = fopen("/proc/self/cgroup", "r");
    while (file && !found && fgets(line, sizeof line, file)) {
        const char *memory = strstr(line, ":memory:");
        line[strcspn(line, "\n")] = '\0';
        is_version_2 = strncmp(line, "0::", 3) == 0;
        if (is_version_2)
            found = is_own_group(CGROUP_ROOT, line + strlen("0::"), "cgroup.controllers");
        else if (memory)
            found = is_own_group(CGROUP_ROOT "/memory", memory + strlen(":memory:"),
                                 "memory.limit_in_bytes");
    }
    if (file) fclose(file);
    return found;
}

/* Is memory handed on to groups below? */
static bool hands_on_memory(void)
{
    char path[PATH_BYTES + 64], text[1024] = "";
    snprintf(path, sizeof path, "%s/cgroup.subtree_control", own_group);
    FILE *file = fopen(path, "r");
    if (file && !fgets(text, sizeof text, file)) text[0] = '\0';
    if (file) fclose(file);
    return strstr(text, "memory") != NULL;
}

static void move_back(void)
{
    rmdir(trial_group);
    if (!is_version_2) return;
    if (has_handed_on) write_file(own_group, "cgroup.subtree_control", "-memory");
    write_file(own_group, "cgroup.procs", "0");
    rmdir(driver_group);
}

static bool make_group(const char *group)
{
    return mkdir(group, 0755) == 0 || errno == EEXIST;
}

static bool hand_on_memory(void)
{
    if (!write_file(driver_group, "cgroup.procs", "0")) return false;
    if (hands_on_memory()) return true;
    has_handed_on = write_file(own_group, "cgroup.subtree_control", "+memory");
    return has_handed_on;
}

bool limit_set_up(uint64_t bytes, const char **why)
{
    char text[32];
    *why = "this system has no control groups that limit memory";
    if (!find_own_group()) return false;
    snprintf(driver_group, sizeof driver_group, "%s/loam-bench-driver", own_group);
    snprintf(trial_group, sizeof trial_group, "%s/loam-bench-trial", own_group);
    *why = "its control group is not its own to divide; try `systemd-run --user --scope -p "
           "Delegate=yes`, or root";
    snprintf(text, sizeof text, "%" PRIu64, bytes);
    if (is_version_2 && !make_group(driver_group)) return false;
    is_set_up =
        (!is_version_2 || hand_on_memory()) && make_group(trial_group) &&
        write_file(trial_group, is_version_2 ? "memory.max" : "memory.limit_in_bytes", text);
    if (!is_set_up) move_back();
    if (is_set_up)
        (void)write_file(trial_group, is_version_2 ? "memory.swap.max" : "memory.swappiness", "0");
    return is_set_up;
}

void limit_enter(void)
{
    if (is_set_up && !write_file(trial_group, "cgroup.procs", "0"))
        bench_die("%s: cannot be entered: %s", trial_group, strerror(errno));
}

void limit_take_down(void)
{
    if (is_set_up) move_back();
    is_set_up = false;
}
