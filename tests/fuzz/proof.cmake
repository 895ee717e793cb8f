# Fuzz targets of proof/.
yz_fuzz(fuzz_note LINK yz_proof)
