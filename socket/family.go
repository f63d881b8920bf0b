package socket

import (
	"fmt"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Family is an address family, as in address_families(7).
type Family int32

// The families of the class. If the running kernel lacks one, New returns
// EAFNOSUPPORT.
const (
	Unix      Family = unix.AF_UNIX
	Local     Family = unix.AF_LOCAL
	Inet      Family = unix.AF_INET
	Inet6     Family = unix.AF_INET6
	Netlink   Family = unix.AF_NETLINK
	Packet    Family = unix.AF_PACKET
	Vsock     Family = unix.AF_VSOCK
	IPX       Family = unix.AF_IPX
	X25       Family = unix.AF_X25
	AX25      Family = unix.AF_AX25
	ATMPVC    Family = unix.AF_ATMPVC
	AppleTalk Family = unix.AF_APPLETALK
)

// A Type is a socket type, as in socket(2).
type Type int32

// The types of the class. If a family lacks one, New returns ESOCKTNOSUPPORT, or
// another error of the kernel.
const (
	Stream    Type = unix.SOCK_STREAM
	Dgram     Type = unix.SOCK_DGRAM
	SeqPacket Type = unix.SOCK_SEQPACKET
	Raw       Type = unix.SOCK_RAW
	RDM       Type = unix.SOCK_RDM
	OldPacket Type = unix.SOCK_PACKET // the obsolete type "packet"; use the family Packet
)

// name pairs a constant with the name that the class gives it.
type name[T ~int | ~int32] struct {
	value T
	name  string
}

var familyNames = []name[Family]{
	{Unix, "unix"}, {Local, "local"}, {Inet, "inet"}, {Inet6, "inet6"},
	{Netlink, "netlink"}, {Packet, "packet"}, {Vsock, "vsock"}, {IPX, "ipx"},
	{X25, "x25"}, {AX25, "ax25"}, {ATMPVC, "atmpvc"}, {AppleTalk, "appletalk"},
}

var typeNames = []name[Type]{
	{Stream, "stream"}, {Dgram, "dgram"}, {SeqPacket, "seqpacket"},
	{Raw, "raw"}, {RDM, "rdm"}, {OldPacket, "packet"},
}

// ParseFamily finds a family by its name: "unix", "local", "inet", "inet6",
// "netlink", "packet", "vsock", "ipx", "x25", "ax25", "atmpvc", "appletalk".
// The error lists them, and is EAFNOSUPPORT.
func ParseFamily(s string) (Family, error) {
	return parseName("family", familyNames, s, unix.EAFNOSUPPORT)
}

// ParseType finds a type by its name: "stream", "dgram", "seqpacket", "raw",
// "rdm", "packet". The error lists them, and is ESOCKTNOSUPPORT.
func ParseType(s string) (Type, error) { return parseName("type", typeNames, s, unix.ESOCKTNOSUPPORT) }

// String returns the family's name, or Family(number).
func (f Family) String() string { return nameOf("Family", familyNames, f) }

// String returns the type's name, or Type(number).
func (t Type) String() string { return nameOf("Type", typeNames, t) }

func parseName[T ~int | ~int32](what string, names []name[T], s string, errno syscall.Errno) (T, error) {
	for _, n := range names {
		if n.name == s {
			return n.value, nil
		}
	}
	known := ""
	for i, n := range names {
		if i > 0 {
			known += ", "
		}
		known += n.name
	}
	return 0, invalid("socket", what+" "+strconv.Quote(s), errno, "the known ones are "+known)
}

func nameOf[T ~int | ~int32](kind string, names []name[T], v T) string {
	for _, n := range names {
		if n.value == v {
			return n.name
		}
	}
	return fmt.Sprintf("%s(%d)", kind, int(v))
}
