//! The gRPC contract: protobuf at the edge and its conversions.
