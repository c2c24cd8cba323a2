package services

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	// The longest that a service holds an answer back.
	wait = 20 * time.Second
	// At most one answer is taken in this time.
	pause = time.Second
	// Failures in a row until the service counts as lost.
	patience = 3
)

// Observed is what was seen last.
type Observed[T any] struct {
	Seen *T
	Lost error
}

type observer[T any] struct {
	url    string
	cancel context.CancelFunc
	now    Observed[T]
}

// Observers long-poll the summaries of services, each in a goroutine of its own.
type Observers[T any] struct {
	client  *Client
	version func(*T) string
	// Wake is called after each change.
	Wake func(types.NamespacedName)
	// Pause is that after each answer.
	Pause time.Duration
	mutex sync.Mutex
	all   map[types.NamespacedName]*observer[T]
}

// NewObservers makes none yet.
func NewObservers[T any](client *Client, version func(*T) string, wake func(types.NamespacedName)) *Observers[T] {
	return &Observers[T]{client: client, version: version, Wake: wake, Pause: pause, all: map[types.NamespacedName]*observer[T]{}}
}

// Observe tells what was seen at this URL, and begins to look where nobody does.
func (o *Observers[T]) Observe(name types.NamespacedName, url string) Observed[T] {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if known, ok := o.all[name]; ok && known.url == url {
		return known.now
	} else if ok {
		known.cancel()
	}
	// It outlives the reconcile that starts it, and ends with Forget.
	ctx, cancel := context.WithCancel(context.Background())
	made := &observer[T]{url: url, cancel: cancel}
	o.all[name] = made
	go o.poll(ctx, name, made)
	return Observed[T]{}
}

// Forget ends the observer of an object that is gone.
func (o *Observers[T]) Forget(name types.NamespacedName) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if known, ok := o.all[name]; ok {
		known.cancel()
		delete(o.all, name)
	}
}

func (o *Observers[T]) poll(ctx context.Context, name types.NamespacedName, made *observer[T]) {
	version, failures := "", 0
	for ctx.Err() == nil {
		url := made.url
		if version != "" {
			url = fmt.Sprintf("%s?since=%s&wait=%ds", url, version, int(wait.Seconds()))
		}
		summary := new(T)
		limited, cancel := context.WithTimeout(ctx, wait+10*time.Second)
		err := o.client.Get(limited, url, summary)
		cancel()
		delay := o.Pause
		if err == nil {
			failures, version = 0, o.version(summary)
			o.set(name, made, Observed[T]{Seen: summary})
		} else {
			failures, version = failures+1, ""
			if failures >= patience {
				o.set(name, made, Observed[T]{Lost: err})
			}
			delay = time.Second << min(failures, 4)
		}
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
	}
}

func (o *Observers[T]) set(name types.NamespacedName, made *observer[T], now Observed[T]) {
	o.mutex.Lock()
	news := !reflect.DeepEqual(made.now, now)
	made.now = now
	o.mutex.Unlock()
	if news {
		o.Wake(name)
	}
}
