"""Writes the kinds of files that spikes are kept in, by other means than spiketune's own.

Events are arrays of (time in µs, x, y, polarity). Functions that need a module import it.
"""
import json
import struct

import numpy as np

SENSOR_XML = (
    '<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/">'
    '<node name="0" path="/mainloop/Recorder/outInfo/0/">'
    '<attr key="typeIdentifier" type="string">EVTS</attr>'
    '<node name="info" path="/mainloop/Recorder/outInfo/0/info/">'
    '<attr key="sizeX" type="int">{width}</attr><attr key="sizeY" type="int">{height}</attr>'
    "</node></node></node></dv>")


def n_mnist(events):
    records = []
    for time, x, y, on in events:
        time = int(time)
        records.append(struct.pack("BBBBB", x, y, int(on) << 7 | time >> 16, time >> 8 & 255, time & 255))
    return b"".join(records)


def smtx(dense):
    rows, columns = np.nonzero(dense)
    offsets = np.concatenate([[0], np.cumsum(np.count_nonzero(dense, axis=1))])
    return "{}, {}, {}\n{}\n{}\n".format(*dense.shape, len(rows), " ".join(map(str, offsets)),
                                         " ".join(map(str, columns))).encode()


def safetensors(tensors):
    """`tensors`: name → (dtype as the format spells it, array whose bytes are stored)."""
    header, data = {"__metadata__": {"format": "np"}}, b""
    for name, (dtype, array) in tensors.items():
        stored = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + len(stored)]}
        data += stored
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def _event_packet(events):
    import flatbuffers
    builder = flatbuffers.Builder(64)
    builder.StartVector(16, len(events), 8)
    for time, x, y, on in reversed(events):
        builder.Prep(8, 16)
        builder.Pad(3)
        builder.PrependBool(bool(on))
        builder.PrependInt16(int(y))
        builder.PrependInt16(int(x))
        builder.PrependInt64(int(time))
    elements = builder.EndVector()
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, elements, 0)
    builder.FinishSizePrefixed(builder.EndObject(), b"EVTS")
    return bytes(builder.Output())


def _io_header(compression, table_position, xml):
    import flatbuffers
    builder = flatbuffers.Builder(64)
    text = builder.CreateString(xml)
    builder.StartObject(3)
    builder.PrependInt32Slot(0, compression, 0)
    builder.PrependInt64Slot(1, table_position, -1)
    builder.PrependUOffsetTRelativeSlot(2, text, 0)
    builder.FinishSizePrefixed(builder.EndObject(), b"IOHE")
    return bytes(builder.Output())


def _compress(data, compression):
    if compression in (1, 2):
        import lz4.frame
        return lz4.frame.compress(data)
    if compression in (3, 4):
        import zstandard
        return zstandard.ZstdCompressor(write_content_size=False).compress(data)
    return data


def aedat4(streams, compression=0, width=16, height=12, packet=100, xml=SENSOR_XML):
    """`streams`: number → events. A packet of another kind comes first, a table last."""
    packets = [(9, b"\x10\0\0\0\x10\0\0\0FRME" + bytes(8))]
    for number, events in streams.items():
        packets += [(number, _event_packet(events[i:i + packet])) for i in range(0, len(events), packet)]
    body = b""
    for number, data in packets:
        data = _compress(data, compression)
        body += struct.pack("<ii", number, len(data)) + data
    xml = xml.format(width=width, height=height)
    start = 14 + len(_io_header(compression, 1, xml))
    header = _io_header(compression, start + len(body), xml)
    return b"#!AER-DAT4.0\r\n" + header + body + b"a table that nobody reads"


def heidelberg(path, samples):
    """`samples`: lists of (time in seconds, channel), as in SHD and SSC."""
    import h5py
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (len(samples),), h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (len(samples),), h5py.vlen_dtype(np.uint16))
        for i, sample in enumerate(samples):
            times[i] = np.array([time for time, _ in sample], np.float16)
            units[i] = np.array([unit for _, unit in sample], np.uint16)
        file["labels"] = np.arange(len(samples), dtype=np.uint8)
        file["extra/speaker"] = np.zeros(len(samples), np.uint16)


def nir_events(path, idx, time, neurons, t_max):
    import h5py
    with h5py.File(path, "w") as file:
        file.attrs["__type__"] = "NIRGraphData"
        group = file.create_group("nodes/lif/observables/spikes")
        file["nodes"].attrs["__type__"] = "NIRNodeData"
        group.attrs["__type__"] = "EventData"
        group.create_dataset("idx", data=idx, compression="gzip")
        group.create_dataset("time", data=time, compression="gzip")
        group.attrs["n_neurons"] = neurons
        group.attrs["t_max"] = t_max


def nir_grid(path, data, dt):
    import h5py
    with h5py.File(path, "w") as file:
        group = file.create_group("nodes/lif/observables/spikes")
        group.attrs["__type__"] = "TimeGriddedData"
        group.create_dataset("data", data=data, compression="gzip")
        group.attrs["dt"] = dt
