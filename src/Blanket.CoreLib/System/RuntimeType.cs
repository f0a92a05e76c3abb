namespace System;

/// <summary>The compiler asks for this type by name; there are no instances.</summary>
internal abstract class RuntimeType : Type;
