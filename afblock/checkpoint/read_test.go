package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/afc-project/afc/afblock/internal/aftest"
	"github.com/afc-project/afc/graph"
	"github.com/afc-project/afc/internal/limits"
	"github.com/afc-project/afc/internal/testutil"
)

const (
	digestAll   = "4a3cf85f3e251ce6f6af15e99086a1af79f87510de90b1a5bb271f9642f1359d"
	digestNumpy = "de17630f9e4e0815d98f553823eb6b3cdf560ad62cc49f1797caa0f61ef88e67"
	digestFloat = "e4291cb20b80e33fefaf02cc014b05368ffc27850fc2e297746fdd83d5e35f85"
)

// TestRead reads what PyTorch, safetensors and NumPy wrote, bit by bit.
func TestRead(t *testing.T) {
	for _, tc := range []struct{ file, digest string }{
		{"zip.pth", digestAll},
		{"legacy.pth", digestAll},
		{"net.pth", digestAll},
		{"objects.pth.tar", digestAll},
		{"module.pth", "da28735cc02292a475358a41983cc570845a7c758c123f33599f1ef1d9abb518"},
		{"st.safetensors", digestAll},
		{"numpy.npz", digestNumpy},
		{"compressed.npz", digestFloat},
	} {
		sd, err := Read(filepath.Join("testdata", "checkpoints", tc.file))
		if err != nil {
			t.Errorf("%s: %v", tc.file, err)
			continue
		}
		if got := aftest.Digest(t, sd); got != tc.digest {
			t.Errorf("%s: read as %s, want %s", tc.file, got, tc.digest)
		}
	}
}

func TestReadFixtureCheckpoints(t *testing.T) {
	for name, want := range map[string]string{
		"afr50_tsm_t8": "5d192fac8d503e0947d927c403db9920ff4c6d52530ded6087ef8c4511deb946",
		"afr50_tsn_t4": "a8889ad5341dd182acec9d76fe1145607e286637c25538e8be2365c22a596999",
	} {
		if got := aftest.Digest(t, readFixture(t, name)); got != want {
			t.Errorf("%s: read as %s, PyTorch has %s", name, got, want)
		}
	}
}

func readFixture(t testing.TB, name string) *StateDict {
	t.Helper()
	sd, err := Read(testutil.Shared(t, "fixtures", "afnet", name+".pth.tar"))
	if err != nil {
		t.Fatal(err)
	}
	return sd
}

// TestReadRefuses holds the reader to errors that say what is wrong.
func TestReadRefuses(t *testing.T) {
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join("testdata", "checkpoints", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	// patch replaces the one place where old stands.
	patch := func(b []byte, old, new string) []byte {
		if bytes.Count(b, []byte(old)) == 0 {
			t.Fatalf("%q is not in the file", old)
		}
		return bytes.Replace(b, []byte(old), []byte(new), 1)
	}
	hugeHeader := binary.LittleEndian.AppendUint64(nil, 1<<40)
	for _, tc := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "not a checkpoint"},
		{"text", []byte("hello, world"), "not a checkpoint"},
		{"zip cut short", read("zip.pth")[:1000], "damaged zip archive"},
		{"legacy cut short", read("legacy.pth")[:1500], "bytes are left"},
		{"legacy without storages", read("legacy.pth")[:300], "pickle"},
		{"other pickle", []byte("\x80\x02K\x01."), "not one that torch.save wrote"},
		{"lying string length", []byte("\x80\x02X\xff\xff\xff\x7fabc."), "claims 2147483647 bytes, 4 are left"},
		{"huge integer", append([]byte("\x80\x02\x8b\x00\x10\x00\x00"), make([]byte, 4097)...), "integer of 4096 bytes"},
		{"extension registry", []byte("\x80\x02\x82\x01."), "opcode 0x82"},
		{"safetensors header longer than the file", append(hugeHeader, '{', '}'), "header of 1099511627776 bytes"},
		{"safetensors offsets", patch(read("st.safetensors"), "[2,3,4]", "[2,3,9]"), "damaged safetensors"},
		{"big-endian NumPy", read("big.npz"), `elements of type ">f4" are not supported`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "x")
			if err := os.WriteFile(file, tc.data, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Read(file)
			var ce *Error
			if !errors.As(err, &ce) || ce.File != file || !strings.Contains(ce.Reason, tc.want) {
				t.Errorf("got %v, want a Error about %q", err, tc.want)
			}
		})
	}
}

func TestArrangeRefuses(t *testing.T) {
	for _, tc := range []struct {
		dims, strides []int64
		elements      int
	}{
		{[]int64{2, 3}, []int64{3, 1}, 5},             // one element short
		{[]int64{1 << 20}, []int64{0}, 4},             // a small storage expanded
		{[]int64{1 << 40, 0}, []int64{1, 1}, 0},       // fine: empty
		{[]int64{2}, []int64{-1}, 4},                  // backwards
		{[]int64{3, 2}, []int64{1 << 62, 1 << 62}, 8}, // overflow
		{[]int64{1 << 40, 1 << 40}, []int64{1, 1}, 8}, // overflow
	} {
		mem := limits.NewAllowance(0)
		got, err := arrange(graph.Float32, tc.dims, tc.strides, make([]byte, 4*tc.elements), mem)
		if empty := slices.Contains(tc.dims, 0); empty != (err == nil) {
			t.Errorf("dims %v strides %v over %d elements: got %v, %v", tc.dims, tc.strides, tc.elements, got, err)
		}
	}
}

func TestWriteSafetensors(t *testing.T) {
	want, err := Read("testdata/checkpoints/st.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	want.Skeleton = `{"format":1}`
	var first, second bytes.Buffer
	for _, b := range []*bytes.Buffer{&first, &second} {
		if err := WriteSafetensors(b, want); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two writes of one state dict differ")
	}
	got, err := decodeCheckpoint(bytes.NewReader(first.Bytes()), int64(first.Len()), "")
	if err != nil {
		t.Fatal(err)
	}
	if aftest.Digest(t, got) != digestAll || got.Skeleton != want.Skeleton {
		t.Errorf("came back as %s with structure %q", aftest.Digest(t, got), got.Skeleton)
	}
}

// TestPickleArgs holds the scanner's table to the one of Python's pickletools.
func TestPickleArgs(t *testing.T) {
	text, err := os.ReadFile("testdata/checkpoints/opcodes.txt")
	if err != nil {
		t.Fatal(err)
	}
	forms := map[int]int{-1: argLine, -2: argLen1, -3: argLen4, -4: argLen4, -5: argLen8}
	n := 0
	for line := range strings.Lines(string(text)) {
		var code, arg int
		var name string
		if _, err := fmt.Sscanf(line, "%x %s %d", &code, &name, &arg); err != nil {
			t.Fatal(err)
		}
		want := arg
		switch {
		case name == "STOP": // ends the scan
			continue
		case name == "FRAME":
			want = argFrame
		case name == "GLOBAL" || name == "INST":
			want = argLines
		case strings.HasPrefix(name, "EXT") || strings.HasSuffix(name, "_BUFFER"):
			want = argRefuse
		case arg < 0:
			want = forms[arg]
		}
		if got, ok := pickleArgs[byte(code)]; !ok || got != want {
			t.Errorf("%s 0x%02x: argument %d (%v), want %d", name, code, got, ok, want)
		}
		n++
	}
	if n != len(pickleArgs) {
		t.Errorf("%d opcodes in the table, %d in pickletools", len(pickleArgs), n)
	}
}

// TestReadKey: of several dictionaries of tensors the usual one is taken, and the
// others are named; any can be chosen, and one that is not there is refused.
func TestReadKey(t *testing.T) {
	const ema = "testdata/checkpoints/ema.pth"
	for _, tc := range []struct {
		key, taken string
		first      float32
		others     []string
	}{
		{"", "state_dict", 0, []string{"state_dict_ema"}},
		{"state_dict", "state_dict", 0, nil},
		{"state_dict_ema", "state_dict_ema", 12.0 / 7, nil},
	} {
		sd, err := ReadKey(ema, tc.key)
		if err != nil {
			t.Fatal(err)
		}
		v, err := sd.Tensor("w").Float32s()
		if err != nil || v[0] != tc.first || sd.Key != tc.taken || !slices.Equal(sd.OtherKeys, tc.others) {
			t.Errorf("key %q: w begins with %v (%v) under %q, others %v; want %v under %q, %v", tc.key, v[:1], err, sd.Key, sd.OtherKeys, tc.first, tc.taken, tc.others)
		}
	}
	for file, has := range map[string][]string{ema: {"state_dict_ema", "state_dict"}, "testdata/checkpoints/legacy.pth": nil, "testdata/checkpoints/st.safetensors": nil, "testdata/checkpoints/numpy.npz": nil} {
		_, err := ReadKey(file, "weights")
		var no *KeyError
		if !errors.As(err, &no) || no.File != file || !slices.Equal(no.Has, has) {
			t.Errorf("%s: %v, want a KeyError that lists %v", file, err, has)
		}
	}
}
