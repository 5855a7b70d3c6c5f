package names

// Keys of the properties that afc adds to the models and checkpoints it writes.
const (
	// NetworkKey holds the network's skeleton: all that neither the operators nor
	// the shapes of the tensors tell. An exported checkpoint has it, too.
	NetworkKey = "afc.network"
	// NoteKey holds a sentence for people who look at a model's properties.
	NoteKey = "afc.note"
	// OptimizedKey marks models in which afc optimize gave the temporal shift a
	// stream of its own, a form that is not recognised again.
	OptimizedKey = "afc.optimized"
	// SealKey holds a digest of the weights of every block (package seal).
	SealKey = "afc.seal"
	// PassKey is a node's: the pass that made it.
	PassKey = "afc.pass"
	// SourceKey names the file that an AFNet was made from, without folders, and
	// the SHA-256 of its bytes.
	SourceKey = "afc.source"
)
