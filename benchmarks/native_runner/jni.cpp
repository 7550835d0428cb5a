// The engine for Kotlin on a Java machine: dev.edgekit.latency.core.NativeEngine, which tests alone use. Apps have ExecuTorch's own AAR.
#include <jni.h>

#include <string>
#include <vector>

#include "latency_engine.h"

namespace {

constexpr size_t kRoom = 1000;

class Text {
 public:
  Text(JNIEnv* env, jstring text) : env_(env), text_(text), chars_(env->GetStringUTFChars(text, nullptr)) {}
  ~Text() { env_->ReleaseStringUTFChars(text_, chars_); }
  Text(const Text&) = delete;
  const char* get() const { return chars_; }

 private:
  JNIEnv* env_;
  jstring text_;
  const char* chars_;
};

void refuse(JNIEnv* env, const char* error) { env->ThrowNew(env->FindClass("java/lang/IllegalStateException"), error); }

latency_session* session_of(jlong handle) { return reinterpret_cast<latency_session*>(handle); }

}  // namespace

extern "C" {

JNIEXPORT jstring JNICALL Java_dev_edgekit_latency_core_NativeCalls_version(JNIEnv* env, jobject) { return env->NewStringUTF(latency_version()); }

JNIEXPORT jlong JNICALL Java_dev_edgekit_latency_core_NativeCalls_open(JNIEnv* env, jobject, jstring path, jint threads) {
  char error[kRoom] = "";
  latency_session* session = latency_open(Text(env, path).get(), threads, error, kRoom);
  if (session == nullptr) refuse(env, error);
  return reinterpret_cast<jlong>(session);
}

JNIEXPORT void JNICALL Java_dev_edgekit_latency_core_NativeCalls_load(JNIEnv* env, jobject, jlong handle, jstring entry) {
  char error[kRoom] = "";
  if (latency_load(session_of(handle), Text(env, entry).get(), error, kRoom) != 0) refuse(env, error);
}

/// Direct buffers in, arrays of bytes out.
JNIEXPORT jobjectArray JNICALL Java_dev_edgekit_latency_core_NativeCalls_run(
    JNIEnv* env, jobject, jlong handle, jstring entry, jobjectArray dtypes, jobjectArray shapes, jobjectArray buffers, jint outputs) {
  const auto count = static_cast<size_t>(env->GetArrayLength(buffers));
  std::vector<std::string> names;
  std::vector<std::vector<int64_t>> sizes;
  std::vector<latency_tensor> inputs;
  for (size_t place = 0; place < count; ++place) {
    const auto at = static_cast<jsize>(place);
    names.emplace_back(Text(env, static_cast<jstring>(env->GetObjectArrayElement(dtypes, at))).get());
    const auto shape = static_cast<jlongArray>(env->GetObjectArrayElement(shapes, at));
    std::vector<int64_t> row(static_cast<size_t>(env->GetArrayLength(shape)));
    static_assert(sizeof(jlong) == sizeof(int64_t), "shapes are copied as they are");
    env->GetLongArrayRegion(shape, 0, static_cast<jsize>(row.size()), reinterpret_cast<jlong*>(row.data()));
    sizes.push_back(std::move(row));
  }
  for (size_t place = 0; place < count; ++place) {
    const jobject buffer = env->GetObjectArrayElement(buffers, static_cast<jsize>(place));
    const jlong size = env->GetDirectBufferCapacity(buffer);
    if (size < 0) {
      refuse(env, "tensor: not a direct buffer");
      return nullptr;
    }
    inputs.push_back({names[place].c_str(), sizes[place].data(), sizes[place].size(), env->GetDirectBufferAddress(buffer), static_cast<size_t>(size)});
  }
  char error[kRoom] = "";
  latency_session* session = session_of(handle);
  if (latency_run(session, Text(env, entry).get(), inputs.data(), count, static_cast<size_t>(outputs), error, kRoom) != 0) {
    refuse(env, error);
    return nullptr;
  }
  const jobjectArray found = env->NewObjectArray(outputs, env->FindClass("[B"), nullptr);
  for (jsize place = 0; found != nullptr && place < outputs; ++place) {
    size_t size = 0;
    const void* bytes = latency_output(session, static_cast<size_t>(place), &size);
    const jbyteArray row = env->NewByteArray(static_cast<jsize>(size));
    if (row == nullptr) return nullptr;
    env->SetByteArrayRegion(row, 0, static_cast<jsize>(size), static_cast<const jbyte*>(bytes));
    env->SetObjectArrayElement(found, place, row);
  }
  return found;
}

JNIEXPORT void JNICALL Java_dev_edgekit_latency_core_NativeCalls_close(JNIEnv*, jobject, jlong handle) { latency_close(session_of(handle)); }

}  // extern "C"
