# Fuzz targets of keys/.
yz_fuzz(fuzz_keyfile LINK yz_keys)
yz_fuzz(fuzz_signature_block LINK yz_keys)
yz_fuzz(fuzz_directory LINK yz_keys)
yz_fuzz(fuzz_directory_records LINK yz_keys)
