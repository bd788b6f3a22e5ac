/* hello.c - stores, reads back, walks in order: cc hello.c $(pkg-config --cflags --libs loam) */
#include <loam.h>
#include <stdio.h>

static loam_status greet(loam_db *db)
{
    loam_buf value = {0};
    loam_iter *it = NULL;
    loam_status rc = loam_put(db, NULL, loam_str("hello"), loam_str("world"));
    if (rc == LOAM_OK) rc = loam_get(db, NULL, loam_str("hello"), &value);
    if (rc == LOAM_OK) printf("hello, %.*s\n", (int)value.len, (const char *)value.data);
    loam_buf_free(&value);
    if (rc == LOAM_OK) rc = loam_iter_open(db, NULL, NULL, &it);
    while (rc == LOAM_OK && (rc = loam_iter_next(it)) == LOAM_OK)
        printf("a key: %.*s\n", (int)loam_iter_key(it).len, (const char *)loam_iter_key(it).data);
    loam_iter_close(it);
    return rc; /* LOAM_NOTFOUND: the walk came to its end */
}

int main(void)
{
    loam_db *db = NULL;
    loam_status rc = loam_open("hello.db", NULL, &db);
    if (rc == LOAM_OK) rc = greet(db);
    if (rc < 0) fprintf(stderr, "hello: %s\n", loam_errmsg());
    if (loam_close(db) < 0) return 1;
    return rc < 0;
}
