/*
 * last_words.h - a test that dies or hangs says from which seed.
 *
 * Role: what a failing assertion prints can also be had when the engine aborts on a broken invariant, touches memory that is not
 *   there, or never comes back: these words are kept, and written by a signal handler before the process goes its way.
 * In the picture: tests only; history.c and the model suite speak before each history.
 */
#ifndef LOAM_TESTS_LIB_LAST_WORDS_H
#define LOAM_TESTS_LIB_LAST_WORDS_H

/* From now on these are the words, and the process has `seconds` (times SLOWDOWN) until it is taken to hang. */
void last_words(unsigned seconds, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* There is nothing to say any more. */
void last_words_none(void);

#endif
