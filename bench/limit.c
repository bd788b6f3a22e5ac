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

/* A group that has processes cannot limit its children, so this process moves into one of them. */
static char own_group[PATH_BYTES - 256], driver_group[PATH_BYTES], trial_group[PATH_BYTES];
static bool is_set_up;

static bool write_file(const char *group, const char *file, const char *text)
{
    char path[PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/%s", group, file);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) close(fd);
    return done;
}

static bool find_own_group(void)
{
    char line[2048];
    bool found = false;
    FILE *file = fopen("/proc/self/cgroup", "r");
    while (file && !found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        found = strncmp(line, "0::", 3) == 0;
    }
    if (file) fclose(file);
    if (!found || access(CGROUP_ROOT "/cgroup.controllers", F_OK) != 0) return false;
    snprintf(own_group, sizeof own_group, "%s%s", CGROUP_ROOT, line + 3);
    return true;
}

static void move_back(void)
{
    rmdir(trial_group);
    write_file(own_group, "cgroup.subtree_control", "-memory");
    write_file(own_group, "cgroup.procs", "0");
    rmdir(driver_group);
}

bool limit_set_up(uint64_t bytes, const char **why)
{
    char text[32];
    *why = "this system has no control groups of version 2";
    if (!find_own_group()) return false;
    snprintf(driver_group, sizeof driver_group, "%s/loam-bench-driver", own_group);
    snprintf(trial_group, sizeof trial_group, "%s/loam-bench-trial", own_group);
    *why = "its control group is not its own to divide; try `systemd-run --user --scope -p "
           "Delegate=yes`";
    if (mkdir(driver_group, 0755) != 0 && errno != EEXIST) return false;
    snprintf(text, sizeof text, "%" PRIu64, bytes);
    is_set_up = write_file(driver_group, "cgroup.procs", "0") &&
                write_file(own_group, "cgroup.subtree_control", "+memory") &&
                (mkdir(trial_group, 0755) == 0 || errno == EEXIST) &&
                write_file(trial_group, "memory.max", text);
    if (!is_set_up) move_back();
    if (is_set_up) (void)write_file(trial_group, "memory.swap.max", "0");
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
