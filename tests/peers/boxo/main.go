// An IPFS peer made of boxo, the library that Kubo is made of: an independent party for the
// tests of the crate almoner-store. Build it with `go build`.
//
//	boxo cid FILE             prints the CID of FILE under the profile unixfs-v1-2025
//	boxo serve FILE...        serves the files as a gateway on loopback until stdin closes;
//	                          prints its URL, then one CID a line
//	boxo fetch URL CID        reads CID from the gateway at URL by CAR; prints its length and SHA-256
//	boxo fetch-raw URL CID    the same by raw blocks
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/ipfs/boxo/blockservice"
	"github.com/ipfs/boxo/blockstore"
	chunk "github.com/ipfs/boxo/chunker"
	"github.com/ipfs/boxo/exchange/offline"
	"github.com/ipfs/boxo/files"
	"github.com/ipfs/boxo/gateway"
	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs/importer/balanced"
	"github.com/ipfs/boxo/ipld/unixfs/importer/helpers"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/multiformats/go-multihash"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "cid":
		root, err := add(newBlocks(), args[1])
		if err == nil {
			fmt.Println(root)
		}
		return err
	case len(args) >= 2 && args[0] == "serve":
		return serve(args[1:])
	case len(args) == 3 && args[0] == "fetch":
		backend, err := gateway.NewRemoteCarBackend([]string{args[1]}, nil)
		if err != nil {
			return err
		}
		return fetch(backend, args[2])
	case len(args) == 3 && args[0] == "fetch-raw":
		backend, err := gateway.NewRemoteBlocksBackend([]string{args[1]}, nil)
		if err != nil {
			return err
		}
		return fetch(backend, args[2])
	}
	return fmt.Errorf("usage: boxo cid FILE | serve FILE... | fetch URL CID | fetch-raw URL CID")
}

func newBlocks() blockservice.BlockService {
	store := blockstore.NewBlockstore(dssync.MutexWrap(datastore.NewMapDatastore()))
	return blockservice.New(store, offline.Exchange(store))
}

// add builds the DAG that the profile unixfs-v1-2025 names.
func add(blocks blockservice.BlockService, name string) (cid.Cid, error) {
	file, err := os.Open(name)
	if err != nil {
		return cid.Undef, err
	}
	defer file.Close()
	params := helpers.DagBuilderParams{
		Maxlinks:   1024,
		RawLeaves:  true,
		CidBuilder: cid.V1Builder{Codec: cid.DagProtobuf, MhType: multihash.SHA2_256},
		Dagserv:    merkledag.NewDAGService(blocks),
	}
	builder, err := params.New(chunk.NewSizeSplitter(file, 1<<20))
	if err != nil {
		return cid.Undef, err
	}
	root, err := balanced.Layout(builder)
	if err != nil {
		return cid.Undef, err
	}
	return root.Cid(), nil
}

func serve(names []string) error {
	blocks := newBlocks()
	var roots []cid.Cid
	for _, name := range names {
		root, err := add(blocks, name)
		if err != nil {
			return err
		}
		roots = append(roots, root)
	}
	backend, err := gateway.NewBlocksBackend(blocks)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", listener.Addr())
	for _, root := range roots {
		fmt.Println(root)
	}
	go func() {
		// Whoever started us has gone or wants us to stop.
		io.Copy(io.Discard, os.Stdin)
		listener.Close()
	}()
	mux := http.NewServeMux()
	mux.Handle("/ipfs/", gateway.NewHandler(gateway.Config{}, backend))
	if err := http.Serve(listener, mux); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

func fetch(backend gateway.IPFSBackend, text string) error {
	root, err := cid.Decode(text)
	if err != nil {
		return err
	}
	_, node, err := backend.GetAll(context.Background(), path.FromCid(root))
	if err != nil {
		return err
	}
	defer node.Close()
	file, ok := node.(files.File)
	if !ok {
		return fmt.Errorf("%s is not a file", root)
	}
	hash := sha256.New()
	size, err := io.Copy(hash, file)
	if err != nil {
		return err
	}
	fmt.Printf("%d %x\n", size, hash.Sum(nil))
	return nil
}
