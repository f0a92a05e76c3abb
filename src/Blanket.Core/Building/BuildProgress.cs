namespace Blanket.Core.Building;

/// <summary>A domain under construction: what <see cref="DomainBuilder.Begin"/> planned, and how far <see cref="DomainBuilder.Continue"/> has come.</summary>
public struct BuildProgress
{
    internal KernelParameters Kernel;
    internal DomainLayout Layout;
    internal DomainPages Pages;
    internal StepProgress Steps;

    /// <summary>The largest blocks of frames that there have been of late.</summary>
    internal int Order;
}
