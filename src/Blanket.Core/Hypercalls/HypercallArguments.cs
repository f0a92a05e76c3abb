using Blanket.Abi.Xen;

namespace Blanket.Core.Hypercalls;

/// <summary>
/// The arguments of one hypercall (rdi, rsi, rdx, r10, r8, r9). A handler that has more to do than one go allows stores what
/// is left in the arguments and returns <see cref="Restart"/>: the guest then executes the hypercall again with these.
/// </summary>
public struct HypercallArguments
{
    /// <summary>Result that asks for the call to be executed again with the arguments as they are now.</summary>
    public const long Restart = -Errno.ERESTART;

    public ulong A1;
    public ulong A2;
    public ulong A3;
    public ulong A4;
    public ulong A5;
}
