/* gauge.c - see gauge.h. */
#include "bench/gauge.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/engine.h"

enum { SETTLE_SECONDS_MAX = 120, GAUGE_PAGE_BYTES = 4096 };

double gauge_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double gauge_cpu_seconds(void)
{
    struct timespec used;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

/* The number behind `name` in a file of /proc, or 0. */
static uint64_t proc_number(const char *path, const char *name)
{
    char line[256];
    uint64_t number = 0;
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, strlen(name)) != 0) continue;
        number = strtoull(line + strlen(name), NULL, 10);
        break;
    }
    if (file != NULL) (void)fclose(file);
    return number;
}

uint64_t gauge_written_bytes(void)
{
    return proc_number("/proc/self/io", "write_bytes:");
}

uint64_t gauge_memory_bytes(void)
{
    return proc_number("/proc/self/status", "VmRSS:") * 1024;
}

uint64_t gauge_memory_peak_bytes(void)
{
    return proc_number("/proc/self/status", "VmHWM:") * 1024;
}

/* Where this is not allowed the peak is that of the whole process: too high, never too low. */
void gauge_memory_reset_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (file == NULL) return;
    (void)fputs("5\n", file);
    (void)fclose(file);
}

/* ---- directories ----------------------------------------------------------------------------- */

static uint64_t tree_bytes;

static int add_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)path, (void)where;
    if (kind == FTW_F) tree_bytes += (uint64_t)info->st_blocks * 512;
    return 0;
}

void gauge_meet_memory(uint64_t bytes)
{
    const long page_bytes = sysconf(_SC_PAGESIZE), free_pages = sysconf(_SC_AVPHYS_PAGES);
    if (page_bytes > 0 && free_pages > 0 && (uint64_t)free_pages / 2 * (uint64_t)page_bytes < bytes)
        bytes = (uint64_t)free_pages / 2 * (uint64_t)page_bytes;
    uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return;
    /* Small pages would come from the leftovers of blocks, which were never given back. */
    (void)madvise(memory, bytes, MADV_HUGEPAGE);
    for (uint64_t at = 0; at < bytes; at += GAUGE_PAGE_BYTES)
        memory[at] = 1;
    (void)munmap(memory, bytes);
}

uint64_t gauge_disk_bytes(const char *dir)
{
    tree_bytes = 0;
    (void)nftw(dir, add_one, 16, FTW_PHYS);
    return tree_bytes;
}

void gauge_settle(const char *dir, uint32_t rest_ms)
{
    const struct timespec rest = {.tv_sec = rest_ms / 1000, .tv_nsec = rest_ms % 1000 * 1000000L};
    const double start = gauge_seconds(), idle = 0.05 * rest_ms / 1000;
    double before = 0;
    do {
        before = gauge_cpu_seconds();
        (void)nanosleep(&rest, NULL);
    } while (gauge_cpu_seconds() - before >= idle && gauge_seconds() - start < SETTLE_SECONDS_MAX);
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || syncfs(fd) != 0) bench_die("%s: cannot be synced: %s", dir, strerror(errno));
    (void)close(fd);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info, (void)kind, (void)where;
    return remove(path);
}

bool gauge_remove_tree(const char *dir)
{
    if (nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 || access(dir, F_OK) != 0) return true;
    (void)fprintf(stderr, "bench: %s: cannot be removed: %s\n", dir, strerror(errno));
    return false;
}

/* cp knows best: clones where the file system can, and holes of a sparse file stay holes. */
bool gauge_copy_tree(const char *source, const char *target)
{
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* it outlives nobody who waits for it */
        (void)execlp("cp", "cp", "-R", "--sparse=always", "--reflink=auto", "--", source, target,
                     (char *)NULL);
        bench_die("cp: %s", strerror(errno));
    }
    if (child < 0) (void)fprintf(stderr, "bench: no process for cp: %s\n", strerror(errno));
    if (child < 0) return false;
    while (waitpid(child, &status, 0) != child && errno == EINTR) {
    }
    return status == 0; /* cp has said why not */
}
