package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
)

var ErrEmpty = errors.New("queue is empty")

type Ordered interface {
	~int | ~int64 | ~float64 | ~string
}

// Queue hands out the smallest key first.
type Queue[K Ordered, V any] struct {
	mu    sync.Mutex
	items map[K][]V `json:"items,omitempty"`
}

func (q *Queue[K, V]) Pop(ctx context.Context) (key K, value V, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-ctx.Done():
		return key, value, fmt.Errorf("pop: %w", ctx.Err())
	default:
	}
	if len(q.items) == 0 {
		return key, value, ErrEmpty
	}
	first := true
	for k := range q.items {
		if first || cmp.Less(k, key) {
			key, first = k, false
		}
	}
	value, q.items[key] = q.items[key][0], q.items[key][1:]
	return
}

func Map[T, U any](in []T, f func(T) U) (out []U) {
	for i := range len(in) {
		out = append(out, f(in[i]))
	}
	switch v := any(out).(type) {
	case []string:
		fmt.Printf("%d strings: `%v`\n", len(v), v)
	}
	return out
}
