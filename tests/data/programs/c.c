#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define FOR_EACH(item, list) \
    for (node_t *item = (list)->head; item != NULL; item = item->next)

typedef struct node {
    struct node *next;
    uint64_t key : 40;
    union {
        char *text;
        double number;
    } value;
} node_t;

typedef struct { node_t *head; size_t size; } list_t;
typedef int (*compare_fn)(const void *, const void *);

static const char *const NAMES[] = {[0] = "zero", [2] = "two"};
_Static_assert(sizeof(uint64_t) == 8, "eight bytes");

static inline void list_push(list_t *list, const char *restrict text)
{
    node_t *node = calloc(1, sizeof *node);
    if (!node) {
        fprintf(stderr, "out of memory after %zu\n", list->size);
        exit(EXIT_FAILURE);
    }
    node->value.text = strdup(text);
    node->next = list->head;
    list->head = node, list->size++;
}

int sum(int count, ...)
{
    va_list args;
    int total = 0;
    va_start(args, count);
    while (count-- > 0)
        total += va_arg(args, int);
    va_end(args);
    return total;
}

#ifdef DEBUG
static void dump(const list_t *list);
#endif

int main(int argc, char *argv[argc + 1])
{
    list_t list = {.head = NULL, .size = 0};
    int (*table[2])(int, ...) = {sum, sum};
    for (int i = 1; i < argc; ++i)
        list_push(&list, argv[i]);
    do {
        switch (MAX(list.size, 1u) & 0x3) {
        case 1:
            goto done;
        default:
            break;
        }
    } while (0);
done:
    return table[0](2, 1, 2) == 3 ? EXIT_SUCCESS : (int)strlen(NAMES[0]);
}
