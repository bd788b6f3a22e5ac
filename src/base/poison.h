/*
 * poison.h - include last in every .c in engine folders outside base/ and os/: these names stop compiling.
 *
 * Role: keeps allocation in mem.c, system calls in os/, and the unsafe part of
 *   libc out of the tree. No include guard on purpose; poisoning is idempotent.
 * In the picture: base layer; a lint that the compiler runs.
 */
#pragma GCC poison malloc calloc realloc strdup strcpy strcat sprintf strncpy strtok atoi
#pragma GCC poison open read write pread pwrite fsync fdatasync rename unlink time srand
#pragma GCC poison signal assert exit
