namespace Blanket.Drivers.Virtio;

/// <summary>What a device has done that the specification forbids.</summary>
internal enum VirtioFault : byte
{
    None,
    UsedIndexJump,
    IdOutOfRange,
    IdNotInFlight,
    WrongLength,
    BadPacketHeader,
    MissingBuffers,
    BadControlMessage,
    CommandFailed,
    AsksForReset,
}
