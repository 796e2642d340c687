# attack: input that unpacks to very much
# verdict: memory
# limits: memory=100M cpu=20s wall=60s
import zlib

packer = zlib.compressobj(1)
bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(400)) + packer.flush()
print(len(zlib.decompress(bomb)))
