# attack: input that unpacks to very much
# verdict: memory
# limits: memory=100M cpu=8s wall=16s
import zlib

packer = zlib.compressobj(9, zlib.DEFLATED, -15)
block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
print(len(zlib.decompressobj(-15).decompress(block * 400)))
