package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"time"
	"unsafe"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/node/util/sysctl"
	"k8s.io/kubernetes/pkg/proxy"
	"k8s.io/kubernetes/pkg/proxy/iptables"
	"k8s.io/kubernetes/pkg/proxy/nftables"
	proxyutil "k8s.io/kubernetes/pkg/proxy/util"
	utiliptables "k8s.io/kubernetes/pkg/util/iptables"
	"sigs.k8s.io/knftables"
)

// So long that canaries and stale chains, which it sees to once in this period, cost nothing here.
const syncPeriod = time.Hour

// The bit by which kube-proxy marks packets to be masqueraded.
const masqueradeBit = 14

// node is what a proxier is told of the node.
type node struct {
	cidr, name, address string
	prepared            bool
}

// sent is what a proxier sent to the node since it was reset, and how that ended.
type sent struct {
	called bool
	lines  int
	err    error
}

// proxiers starts kube-proxy's proxiers, by mode.
var proxiers = map[string]func(node) (proxy.Provider, *sent, error){
	"iptables": startIptables,
	"nftables": startNftables,
}

// watchedIptables notes what is sent to iptables-restore.
type watchedIptables struct {
	utiliptables.Interface
	// The namespace has the rules of the first sync already: they are not sent.
	prepared bool
	sent     *sent
}

func (w *watchedIptables) RestoreAll(data []byte, flush utiliptables.FlushFlag, counters utiliptables.RestoreCountersFlag) error {
	w.sent.called = true
	w.sent.lines += bytes.Count(data, []byte("\n:")) + bytes.Count(data, []byte("\n-"))
	if w.prepared {
		w.prepared = false
		return nil
	}
	w.sent.err = w.Interface.RestoreAll(data, flush, counters)
	return w.sent.err
}

func startIptables(n node) (proxy.Provider, *sent, error) {
	noted := &sent{}
	ipt := &watchedIptables{
		Interface: utiliptables.New(utiliptables.ProtocolIPv4),
		prepared:  n.prepared,
		sent:      noted,
	}
	proxier, err := iptables.NewProxier(context.Background(), v1.IPv4Protocol, ipt, sysctl.New(),
		syncPeriod, 0, false, true, masqueradeBit, proxyutil.NewDetectLocalByCIDR(n.cidr), n.name,
		net.ParseIP(n.address), nil, nil, nil, false)
	return proxier, noted, err
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

// watchedNftables notes what is sent to nft.
type watchedNftables struct {
	knftables.Interface
	sent *sent
}

func (w *watchedNftables) Run(ctx context.Context, tx *knftables.Transaction) error {
	w.sent.called = true
	w.sent.lines += tx.NumOperations()
	err := w.Interface.Run(ctx, tx)
	// What it does not find when it cleans up is of no concern to it either.
	if err != nil && w.sent.err == nil && !knftables.IsNotFound(err) {
		w.sent.err = err
	}
	return err
}

func startNftables(n node) (proxy.Provider, *sent, error) {
	noted := &sent{}
	proxier, err := nftables.NewProxier(context.Background(), v1.IPv4Protocol, syncPeriod, 0, false,
		masqueradeBit, proxyutil.NewDetectLocalByCIDR(n.cidr), n.name, net.ParseIP(n.address), nil, nil,
		[]string{n.address + "/32"}, false)
	if err != nil {
		return nil, nil, err
	}
	// It takes no interface to nft from outside, and has its own in a field that is not exported.
	field := reflect.ValueOf(proxier).Elem().FieldByName("nftables")
	own := (*knftables.Interface)(unsafe.Pointer(field.UnsafeAddr()))
	*own = &watchedNftables{Interface: *own, sent: noted}
	return proxier, noted, nil
}
