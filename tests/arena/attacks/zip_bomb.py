# attack: input that unpacks to very much
# verdict: memory
# limits: memory=100M cpu=8s wall=16s
import zlib

packer = zlib.compressobj(9)
bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(400)) + packer.flush()
print(len(zlib.decompress(bomb)))
