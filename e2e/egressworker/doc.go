// Package egressworker is an egress worker without Chrome and GStreamer: it takes recordings from livekit-server over Redis
// as LiveKit's egress service does (livekit/psrpc, livekit/protocol/rpc), joins the room with a recorder's token, writes the
// RTP payloads that it hears to a file and reports every state, so that the server keeps the state, lists it and sends its
// egress_* events. Files go to a folder; what the request says of storage is ignored.
package egressworker
