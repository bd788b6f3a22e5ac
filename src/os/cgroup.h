/*
 * cgroup.h - how much memory the container lets this process have.
 *
 * Role: the least limit of the process's control group and its ancestors, version 1 and 2. In a
 *   container the machine's memory says little.
 * Invariants: anything that is not there or not understood is no limit.
 * In the picture: os layer; used by sys_posix.c only.
 */
#ifndef LOAM_OS_CGROUP_H
#define LOAM_OS_CGROUP_H

#include <stdint.h>

/* UINT64_MAX when nothing limits it. */
uint64_t cgroup_memory_bytes(void);

#endif
