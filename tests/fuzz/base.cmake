# Fuzz targets of base/.
yz_fuzz(fuzz_text LINK yz_base)
yz_fuzz(fuzz_json_writer LINK yz_base PkgConfig::JANSSON)
yz_fuzz(fuzz_config LINK yz_base)
