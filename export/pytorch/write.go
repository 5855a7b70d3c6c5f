package pytorch

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/afc-project/afc/afblock"
	"github.com/afc-project/afc/afblock/checkpoint"
	"github.com/afc-project/afc/afblock/weights"
	"github.com/afc-project/afc/internal/atomicfile"
)

//go:embed files
var files embed.FS

// Write writes the folder dir: the modules and scripts, config.json and
// weights.safetensors of net and, if teacher is not nil, teacher.json and
// teacher.safetensors. The folder must not be there yet, or be empty; it
// appears whole or not at all. It fails, saying what, on networks that afnet.py
// cannot express.
func Write(dir string, net, teacher *afblock.Network, version string) error {
	content := map[string][]byte{}
	if err := addNetwork(content, "config", "weights", net, version); err != nil {
		return err
	}
	if teacher != nil {
		if err := addNetwork(content, "teacher", "teacher", teacher, version); err != nil {
			return fmt.Errorf("the source: %w", err)
		}
	}
	if err := fs.WalkDir(files, "files", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			content[filepath.Base(path)], err = files.ReadFile(path)
		}
		return err
	}); err != nil {
		return err
	}
	return atomicfile.Folder(dir, func(temporary string) error {
		for name, data := range content {
			if err := os.WriteFile(filepath.Join(temporary, name), data, 0o644); err != nil {
				return err
			}
		}
		return nil
	})
}

// addNetwork adds CONFIG.json and WEIGHTS.safetensors of a network.
func addNetwork(content map[string][]byte, config, file string, net *afblock.Network, version string) error {
	if err := unscheduled(net); err != nil {
		return err
	}
	if err := plain(net); err != nil {
		return err
	}
	bare := keyed(net, "", "")
	sd, err := weights.Export(bare)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := checkpoint.WriteSafetensors(&b, sd); err != nil {
		return err
	}
	content[file+".safetensors"] = b.Bytes()
	content[config+".json"] = configOf(bare, version).json()
	return nil
}

// keyed returns the network with prefixes before the keys of its backbone and of
// its head, where that is the video model's own: one linear layer.
func keyed(net *afblock.Network, backbone, video string) *afblock.Network {
	out := net.Clone()
	out.Keys.Prefix = backbone
	if out.Head.Hidden != nil { // a part of the backbone
		out.Keys.FC = backbone + out.Head.FC.Key
		return out
	}
	out.Keys.FC, out.Head.FC.Key = video+headKey, headKey
	return out
}

// headKey is afnet.py's name of the linear layer, which the authors' video
// models use.
const headKey = "new_fc"
