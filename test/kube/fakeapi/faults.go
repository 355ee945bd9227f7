// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"sync"
)

// fault is what a request or an event meets: see /fault in main.go.
type fault struct {
	Fault      string `json:"fault"`
	Verb       string `json:"verb"`
	Kind       string `json:"kind"`
	Times      int    `json:"times"`
	Code       int    `json:"code"`
	Reason     string `json:"reason"`
	Message    string `json:"message"`
	RetryAfter int    `json:"retryAfter"`
	How        string `json:"how"`
	Continued  bool   `json:"continued"`
}

var verbs = []string{"", "list", "watch", "watchlist", "initial", "post"}

var faultNames = []string{"status", "hang", "error-event", "cut", "duplicate", "reorder"}

type faults struct {
	mu     sync.Mutex
	active []*fault
	met    map[string]int
}

func (f *faults) add(added fault) error {
	if !slices.Contains(faultNames, added.Fault) {
		return fmt.Errorf("fault: %q is none of %v", added.Fault, faultNames)
	}
	if !slices.Contains(verbs, added.Verb) {
		return fmt.Errorf("verb: %q is none of %v", added.Verb, verbs[1:])
	}
	if !slices.Contains([]string{"", "close", "reset", "stream"}, added.How) {
		return fmt.Errorf("how: %q is not close, reset or stream", added.How)
	}
	if added.Fault == "status" && (added.Code < 300 || added.Code > 599) {
		return fmt.Errorf("code: %d is no error's", added.Code)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = append(f.active, &added)
	return nil
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = nil
}

// meet returns the oldest fault of a name that holds for a request, or nil.
func (f *faults) meet(name, verb, kind string, continued bool) *fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, candidate := range f.active {
		isVerb := candidate.Verb == "" || candidate.Verb == verb ||
			(candidate.Verb == "watch" && verb == "watchlist")
		if candidate.Continued && !continued {
			continue
		}
		if candidate.Fault != name || !isVerb || (candidate.Kind != "" && candidate.Kind != kind) {
			continue
		}
		found := *candidate
		if candidate.Times == 1 {
			f.active = slices.Delete(f.active, i, i+1)
		} else if candidate.Times > 1 {
			candidate.Times--
		}
		f.met[name]++
		return &found
	}
	return nil
}

func (f *faults) counts() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := map[string]int{}
	for name, n := range f.met {
		counts[name] = n
	}
	return counts
}
