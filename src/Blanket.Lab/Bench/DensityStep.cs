namespace Blanket.Lab.Bench;

/// <summary>What one more guest took.</summary>
/// <param name="Guests">Guests that are there with it.</param>
/// <param name="Send">Transmission of its kernel and initramfs to Blanket.</param>
/// <param name="Build">From the request to the answer that its domain runs.</param>
/// <param name="Answer">From there to its first answer to a ping.</param>
/// <param name="LayerKiB">Memory of the machine that is neither free nor a guest's.</param>
/// <param name="FreeKiB">Memory that is free.</param>
public sealed record DensityStep(int Guests, DensityCost Send, DensityCost Build, DensityCost Answer, long LayerKiB, long FreeKiB);
