using System.Runtime.InteropServices;
using Blanket.Machine;

namespace Blanket.Core.Traps;

/// <summary>What a guest kernel finds on its stack at the entry of a handler ("bounce frame" of 64-bit Xen PV), lowest address first.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct GuestFrame
{
    public ulong Rcx;
    public ulong R11;
    public ulong Rip;

    /// <summary>Selector in bits 0-15, the event mask at the time in bits 32-39.</summary>
    public ulong Cs;
    public ulong Rflags;
    public ulong Rsp;
    public ulong Ss;
}

/// <summary>The same with an error code between r11 and rip.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct GuestFrameWithError
{
    public ulong Rcx;
    public ulong R11;
    public ulong ErrorCode;
    public ulong Rip;
    public ulong Cs;
    public ulong Rflags;
    public ulong Rsp;
    public ulong Ss;
}

/// <summary>The frame of the failsafe callback: the data selectors that could not be loaded come first.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct FailsafeFrame
{
    public ulong Rcx;
    public ulong R11;
    public ulong Ds;
    public ulong Es;
    public ulong Fs;
    public ulong Gs;
    public ulong Rip;
    public ulong Cs;
    public ulong Rflags;
    public ulong Rsp;
    public ulong Ss;
}
