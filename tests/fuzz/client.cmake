# Fuzz targets of client/.
yz_fuzz(fuzz_catalogue_page LINK yz_client)
yz_fuzz(fuzz_answer LINK yz_client PkgConfig::JANSSON)
