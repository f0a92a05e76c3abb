namespace Blanket.Drivers.Xen;

/// <summary>What a backend has done that the protocol forbids.</summary>
internal enum FrontendFault : byte
{
    None,
    ResponseIndexJump,
    IdNotInFlight,
    PageStillInUse,
    WrongPlace,
    EndlessPacket,
    BadExtraInfo,
    BadPacket,
    NotCopied,
}
