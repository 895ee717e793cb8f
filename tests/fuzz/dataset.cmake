# Fuzz targets of adapters/dataset/.
yz_fuzz(fuzz_csv LINK yz_dataset)
yz_fuzz(fuzz_cursor LINK yz_dataset)
yz_fuzz(fuzz_definition LINK yz_dataset)
yz_fuzz(fuzz_query LINK yz_dataset)
yz_fuzz(fuzz_write LINK yz_dataset)
yz_fuzz(fuzz_decoder LINK yz_dataset)
yz_fuzz(fuzz_json_scan LINK yz_dataset)
yz_fuzz(fuzz_xml_scan LINK yz_dataset)
