// kube-proxy's own proxiers as contenders of the sync benchmark, in the network namespace of this
// process: objects and requests come as lines of JSON, and each request is answered by one.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/proxy"
)

type request struct {
	Action string          `json:"action"`
	Object json.RawMessage `json:"object"`
}

type reply struct {
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu"`
	Lines   int     `json:"lines"`
	Peak    int64   `json:"peak"`
	Error   string  `json:"error,omitempty"`
}

// contender holds the proxier and the objects that it was last told of.
type contender struct {
	proxier  proxy.Provider
	sent     *sent
	services map[string]*v1.Service
	slices   map[string]*discovery.EndpointSlice
	pending  []func()
	synced   bool
}

// note queues what the informers would call for one object.
func (c *contender) note(action string, object []byte) error {
	var kind struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(object, &kind); err != nil {
		return err
	}
	switch kind.Kind {
	case "Service":
		service := &v1.Service{}
		if err := json.Unmarshal(object, service); err != nil {
			return err
		}
		p := c.proxier
		c.pending = append(c.pending, change(c.services, service.Name, service, action == "delete",
			p.OnServiceAdd, p.OnServiceUpdate, p.OnServiceDelete))
	case "EndpointSlice":
		slice := &discovery.EndpointSlice{}
		if err := json.Unmarshal(object, slice); err != nil {
			return err
		}
		p := c.proxier
		c.pending = append(c.pending, change(c.slices, slice.Name, slice, action == "delete",
			p.OnEndpointSliceAdd, p.OnEndpointSliceUpdate, p.OnEndpointSliceDelete))
	default:
		return fmt.Errorf("kind %q: expected Service or EndpointSlice", kind.Kind)
	}
	return nil
}

func change[T any](known map[string]*T, name string, object *T, remove bool,
	add func(*T), update func(_, _ *T), del func(*T)) func() {
	return func() {
		old := known[name]
		switch {
		case remove:
			delete(known, name)
			del(object)
		case old == nil:
			known[name] = object
			add(object)
		default:
			known[name] = object
			update(old, object)
		}
	}
}

// sync makes one synchronous sync of what is pending. Only the proxier's announcements that all
// objects are there sync at once; whether one is partial depends on the syncs before alone.
func (c *contender) sync() reply {
	*c.sent = sent{}
	start, cpu := time.Now(), cpuTime()
	for _, call := range c.pending {
		call()
	}
	if !c.synced {
		c.proxier.OnServiceSynced()
		c.synced = true
	}
	c.proxier.OnEndpointSlicesSynced()
	answer := reply{
		Seconds: time.Since(start).Seconds(),
		CPU:     (cpuTime() - cpu).Seconds(),
		Lines:   c.sent.lines,
		Peak:    peak(),
	}
	c.pending = nil
	err := c.sent.err
	if err == nil && !c.sent.called {
		err = errors.New("the sync ended before anything was sent")
	}
	if err != nil {
		answer.Error = err.Error()
	}
	return answer
}

// cpuTime is the processor time of this process in all threads; programs that it ran are not in it.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// peak is VmHWM of this process, in bytes.
func peak() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	var kilobytes int64
	fmt.Sscan(string(rest), &kilobytes)
	return kilobytes * 1024
}

func run() error {
	var n node
	mode := flag.String("mode", "iptables", "iptables or nftables")
	suffix := flag.String("suffix", "", "of the iptables programs: -nft or -legacy")
	flag.StringVar(&n.cidr, "cluster-cidr", "", "the network of all pods")
	flag.StringVar(&n.name, "node-name", "", "name of this node")
	flag.StringVar(&n.address, "node-ip", "", "address of this node")
	flag.BoolVar(&n.prepared, "prepared", false, "the rules of the first sync are there already")
	flag.Parse()
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	if *suffix != "" {
		directory, err := os.MkdirTemp("", "kube-proxy-programs-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(directory)
		if err := choosePrograms(*suffix, directory); err != nil {
			return err
		}
	}
	start, known := proxiers[*mode]
	if !known {
		return fmt.Errorf("mode %q: expected iptables or nftables", *mode)
	}
	proxier, sent, err := start(n)
	if err != nil {
		return err
	}
	c := &contender{
		proxier:  proxier,
		sent:     sent,
		services: map[string]*v1.Service{},
		slices:   map[string]*discovery.EndpointSlice{},
	}
	output := json.NewEncoder(os.Stdout)
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 1<<20)
	for input.Scan() {
		var r request
		if err := json.Unmarshal(input.Bytes(), &r); err != nil {
			return err
		}
		switch r.Action {
		case "apply", "delete":
			if err := c.note(r.Action, r.Object); err != nil {
				return err
			}
		case "sync":
			if err := output.Encode(c.sync()); err != nil {
				return err
			}
		default:
			return fmt.Errorf("action %q: expected apply, delete or sync", r.Action)
		}
	}
	return input.Err()
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
