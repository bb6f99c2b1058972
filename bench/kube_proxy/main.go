// kube-proxy's own iptables proxier as a contender of the sync benchmark, in the network namespace
// of this process: objects and requests come as lines of JSON, and each request is answered by one.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/component-helpers/node/util/sysctl"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/proxy/iptables"
	proxyutil "k8s.io/kubernetes/pkg/proxy/util"
	utiliptables "k8s.io/kubernetes/pkg/util/iptables"
)

// So long that canaries and stale chains, which it sees to once in this period, cost nothing here.
const syncPeriod = time.Hour

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

// watched is iptables, noting what is sent to iptables-restore and how that ended.
type watched struct {
	utiliptables.Interface
	// The namespace has the rules of the first sync already: they are not sent.
	prepared bool
	called   bool
	lines    int
	err      error
}

func (w *watched) RestoreAll(data []byte, flush utiliptables.FlushFlag, counters utiliptables.RestoreCountersFlag) error {
	w.called = true
	w.lines += bytes.Count(data, []byte("\n:")) + bytes.Count(data, []byte("\n-"))
	if w.prepared {
		w.prepared = false
		return nil
	}
	w.err = w.Interface.RestoreAll(data, flush, counters)
	return w.err
}

// contender holds the proxier and the objects that it was last told of.
type contender struct {
	proxier  *iptables.Proxier
	iptables *watched
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
	c.iptables.called, c.iptables.lines, c.iptables.err = false, 0, nil
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
		Lines:   c.iptables.lines,
		Peak:    peak(),
	}
	c.pending = nil
	err := c.iptables.err
	if err == nil && !c.iptables.called {
		err = errors.New("the sync ended before iptables-restore")
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

// choosePrograms puts the programs with this suffix on PATH under the names that kube-proxy calls.
func choosePrograms(suffix, directory string) error {
	for _, family := range []string{"iptables", "ip6tables"} {
		for _, tool := range []string{"", "-save", "-restore"} {
			program, err := exec.LookPath(family + suffix + tool)
			if err != nil {
				return err
			}
			if err := os.Symlink(program, filepath.Join(directory, family+tool)); err != nil {
				return err
			}
		}
	}
	return os.Setenv("PATH", directory+":"+os.Getenv("PATH"))
}

func run() error {
	suffix := flag.String("suffix", "", "of the iptables programs: -nft or -legacy")
	cidr := flag.String("cluster-cidr", "", "the network of all pods")
	name := flag.String("node-name", "", "name of this node")
	address := flag.String("node-ip", "", "address of this node")
	prepared := flag.Bool("prepared", false, "the rules of the first sync are there already")
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
	ipt := &watched{
		Interface: utiliptables.New(utiliptables.ProtocolIPv4),
		prepared:  *prepared,
	}
	proxier, err := iptables.NewProxier(context.Background(), v1.IPv4Protocol, ipt, sysctl.New(),
		syncPeriod, 0, false, true, 14, proxyutil.NewDetectLocalByCIDR(*cidr), *name,
		net.ParseIP(*address), nil, nil, nil, false)
	if err != nil {
		return err
	}
	c := &contender{
		proxier:  proxier,
		iptables: ipt,
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
